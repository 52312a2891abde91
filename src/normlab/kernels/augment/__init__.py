"""Crop, flip and normalise a batch of images in one pass."""
