"""Which pairs resemble which: vectors of captions, nearest neighbours, and pictures too alike to be partners."""
