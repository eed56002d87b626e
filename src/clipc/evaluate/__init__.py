"""A model and a catalog into metrics: pure functions on features, thin evaluators around them."""
