"""HOW: the only room that knows Kombu: the store of waiting messages, and the broker."""
