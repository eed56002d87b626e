"""Image paths as people and programs write them, matched to the files that exist."""
