"""Captions: joins two captions in their language, and shortens them to the context length."""
