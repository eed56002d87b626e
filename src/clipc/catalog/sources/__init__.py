"""Sources of each kind, read into rows: tars, tables, folders, Hugging Face datasets."""
