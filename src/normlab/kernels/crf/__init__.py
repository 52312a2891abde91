"""Loss, decoding and marginals of a linear-chain CRF."""

from normlab.kernels.crf.dispatch import LOSS, MARGINALS, VITERBI

__all__ = ["LOSS", "MARGINALS", "VITERBI"]
