"""Programs for people who have a trained model in hand."""
