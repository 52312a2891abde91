"""Loss, marginals and decoding of a linear-chain CRF."""
