"""The local page on which experts decide on composites."""
