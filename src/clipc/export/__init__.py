"""A trained model as a folder for others: open_clip's layout, a model card, ONNX."""
