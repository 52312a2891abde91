"""Text-to-SQL: questions over a database. Importing this imports no torch."""
