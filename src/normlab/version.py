"""The version of the package, alone in a file, so that any module may read it without importing the public names."""

__version__ = "0.1.0"
