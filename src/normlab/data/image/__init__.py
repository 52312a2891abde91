"""Images for classification and prediction, from every form that they come in."""
