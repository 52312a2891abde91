"""Fast twins of hot blocks; each is proved equal to its plain PyTorch reference."""
