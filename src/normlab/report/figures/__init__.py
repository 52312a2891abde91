"""Figures as pure functions: numbers in, plotly figure out. The browser sets the colours of text and grid."""
