"""Twins of the hot blocks for GPUs, written in Triton; only here is `triton` imported.

Each module offers what its plain reference does, on tensors of a CUDA device, or on the CPU's under
TRITON_INTERPRET=1, which is how the tests run them. `kernels.gpu` decides when they are used.
"""
