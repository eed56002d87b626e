"""Evaluation of a model on a catalog: pure functions from features to metrics, and thin evaluators that call them."""
