"""Runs and studies -> one offline HTML file. Imports no torch."""
