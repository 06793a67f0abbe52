"""What does a site look like that uses taskrouting? A small one for videos, to read and to run."""
