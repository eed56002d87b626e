"""Models: configurations, weights, tokenizers and tuning; no other package imports open_clip or timm."""
