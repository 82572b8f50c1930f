"""Tasks: what a network is asked to do, as one function from (network, batch) to a loss and metrics.

One training loop serves all of them; a new way to train is a new task, never a second loop.
"""
