"""The quality of composites: candidates, scorers, and the table of scores from which plans draw."""
