"""Partners: with whom a pair is composed."""
