"""Which app shows what taskrouting is for? Videos: uploaded, worked on, watched, and on record."""
