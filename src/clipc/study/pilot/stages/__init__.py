"""The stages of a pilot: each a function from its context and the earlier stages' results to a result with tables."""
