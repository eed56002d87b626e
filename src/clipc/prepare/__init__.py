"""Makes what a run needs from a catalog and a recipe: the initial model, its tokenizer, plans and their tables."""
