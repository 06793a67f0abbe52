"""THE RECORD: one row for every event, whatever is delivered again."""
