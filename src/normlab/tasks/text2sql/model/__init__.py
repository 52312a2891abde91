"""The network, its encoders and decoder, and the beam search that turns it into SQL."""
