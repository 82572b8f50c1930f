"""Texts, token by token: a decoder is asked for the next token, which is chosen and given to it in turn."""
