"""Turns the rows of plans into batches of pixels and tokens."""
