"""The app of handlers that take too long, each in its own way."""
