"""IN: from a queue to a settled delivery."""
