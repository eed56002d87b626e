"""Audits: what the data, the plans and the trained models do to groups, as keyed tables."""
