"""From questions and databases to batches of numbers, and what a run notes of them."""
