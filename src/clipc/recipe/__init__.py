"""The recipe, which configures a run, and the folder of a run."""
