"""A recipe into a run folder."""
