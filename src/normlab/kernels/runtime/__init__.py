"""What every kernel stands on: building and loading, when one may run, and which implementation is the faster."""
