"""THE FLOOR: whatever could not be handled is kept here, with the reason and the raw bytes."""
