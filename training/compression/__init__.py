"""Compression: each module makes a smaller or faster model from a model. Whether it really is, evaluation decides."""
