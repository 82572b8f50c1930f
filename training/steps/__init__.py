"""The steps of a run: each takes what came before, does its part or finds it done, and says how long that took.

`learning` makes networks, `making` makes model files of them, `proving` measures and publishes; `journal` is what they
share.
"""
