"""3x3 convolutions of small bfloat16 maps."""
