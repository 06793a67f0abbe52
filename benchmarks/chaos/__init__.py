"""Is nothing lost and nothing doubled when everything is killed? A run that counts.

``python -m benchmarks.chaos`` starts real processes on servers of its own, kills them for as long
as it is told, lets them settle, and checks the books row by row.
"""
