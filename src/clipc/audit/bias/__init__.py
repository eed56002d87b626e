"""The bias audit: attributes (words or columns) against concepts, in pairs, composites and models."""
