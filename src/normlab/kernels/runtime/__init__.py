"""What all kernels share: the protocol, building and loading, when one may run, which implementation is faster."""
