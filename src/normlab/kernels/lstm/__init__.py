"""One layer of a (layer-normalised) LSTM, in one or both directions."""

from normlab.kernels.lstm.dispatch import LSTM

__all__ = ["LSTM"]
