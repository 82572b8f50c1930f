"""Locust's users, a kind a file: each asks with real handwritten digits, reads, checks, and waits a moment.

`model.py` is what they all know of the model, `http_user.py` what those over HTTP share.
"""
