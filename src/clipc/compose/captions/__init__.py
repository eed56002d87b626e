"""Captions: how two become one, in their language, within what the model reads."""
