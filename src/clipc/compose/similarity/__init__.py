"""Similarity of pairs: caption vectors, nearest neighbours, and near-copies of images."""
