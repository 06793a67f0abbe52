"""The app of a rolling deployment: two releases of the same subscriptions."""
