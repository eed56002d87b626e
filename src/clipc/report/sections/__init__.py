"""The sections of an experiment's page: each is a function from tables and words to a piece of HTML."""
