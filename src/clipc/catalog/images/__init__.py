"""Encoded images: checked when a catalog is made, decoded to RGB pixels when they are shown."""
