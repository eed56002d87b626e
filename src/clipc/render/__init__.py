"""Plan rows into batches of pixels and tokens."""
