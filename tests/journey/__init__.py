"""The app of the whole journey: video events that are handled, retried, rejected and mailed."""
