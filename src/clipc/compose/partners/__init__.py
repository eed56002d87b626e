"""Partners: the second pairs of composites."""
