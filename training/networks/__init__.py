"""Networks: one architecture a file, each built from a frozen config from which it can be built again.

Every network takes raw pixels, uint8 [N, C, H, W], and normalises them itself, so that no client ever has to.
"""
