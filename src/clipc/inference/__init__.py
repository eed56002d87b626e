"""A trained model in use: search, classification, comparison with its successor, and a local page."""
