"""What is written on a model: its config, and its card with the digests of its files.

Training writes these, the service reads them; so this package imports neither, and no runtime either.
"""
