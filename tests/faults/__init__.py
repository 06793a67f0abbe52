"""The app whose handlers kill, outlast and are interrupted; run by real worker processes."""
