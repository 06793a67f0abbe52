"""Is this installation configured rightly? System checks."""
