"""What does it cost, and what does it survive? Programs that measure it."""
