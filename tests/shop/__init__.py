"""A small shop: the models whose changes the tests publish."""
