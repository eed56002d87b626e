"""Catalog, policy and seed into plans: what each training example will show."""
