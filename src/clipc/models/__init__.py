"""Models: their configurations, weights, tokenizers and what of them learns; the one door to open_clip and timm."""
