"""Trials, compared on equal terms."""
