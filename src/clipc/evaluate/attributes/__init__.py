"""Finds attributes and their nouns in captions, and exchanges two attributes of a caption."""
