"""What is there for those who build on taskrouting? A test kit."""
