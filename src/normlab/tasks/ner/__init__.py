"""Sequence tagging: a BiLSTM with characters, layer normalization and a linear-chain CRF, each part by a switch."""
