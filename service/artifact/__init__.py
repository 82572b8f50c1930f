"""What is written on a model: the card that says what it is and how that was proved, and the digests that tie it to files.

Training writes these, the service reads them; so this package imports neither, and no runtime either.
"""
