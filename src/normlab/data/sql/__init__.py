"""Databases, their schemas and cells, and questions about them."""
