"""Captions: joins two captions, in their language, within the context length."""
