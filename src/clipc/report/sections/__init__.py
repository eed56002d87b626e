"""The sections of a page on an experiment: each takes its tables and words, and gives a piece of HTML."""
