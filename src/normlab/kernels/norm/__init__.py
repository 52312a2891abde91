"""Normalization with its residual sum and ReLU in one visit of the map."""
