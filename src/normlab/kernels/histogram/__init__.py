"""Counting the values of a map, from which percentiles of features are read."""
