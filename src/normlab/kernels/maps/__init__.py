"""Small steps of a residual network, each in one pass over a map."""
