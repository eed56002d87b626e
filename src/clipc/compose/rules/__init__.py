"""Rules an expert writes: what may be composed, said as data and checked before anything runs."""
