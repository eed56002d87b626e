"""The recipe, which decides a run, and the run folder."""
