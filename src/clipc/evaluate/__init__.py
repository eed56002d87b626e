"""A model and a catalog into metrics."""
