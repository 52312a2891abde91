"""Image classification by a residual network of 6n+2 layers under any normalization scheme."""
