"""From a catalog and a recipe to what a run needs: a new model, its tokenizer, plans and the tables behind them."""
