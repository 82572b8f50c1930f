"""Networks: one architecture a file, each built from a frozen config from which it can be built again.

Every network takes raw inputs and scales them itself, so that no client ever has to: pixels uint8 [N, C, H, W], rows
float32 [N, F], windows of a series float32 [N, T, F], or token ids int64 [N, T].
"""
