"""One direction of an LSTM layer."""
