"""What a compressed model really does: which kernels ran, where the time went, why it is slower, what it answers."""
