"""clipc: CLIP on the pairs you have, with semantic composition and honest experiments."""
