"""Does a worker's memory stay where it is? A run that is long enough to tell.

``python -m benchmarks.long_run`` sends events through one worker process, on servers of its own,
and compares its resident memory early in the run and at the end.
"""
