"""Composition: turns a catalog, a policy and a seed into plans, which say what each training example shows."""
