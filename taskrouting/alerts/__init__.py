"""THE ALARM: whether the installation goes beyond what ``ALERTS`` allows, and who is told."""
