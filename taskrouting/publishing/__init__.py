"""OUT: from a model's save to a confirmed publish."""
