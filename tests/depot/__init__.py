"""An app for real worker processes: its handlers do what an event's data tells them to."""
