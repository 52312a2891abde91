"""Text files, vocabularies and word vectors, whatever the task."""
