"""Which words of a question name which tables, columns, cells and values."""
