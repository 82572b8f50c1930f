"""What can be cut of each kind of network: a module a kind, named as that of the network.

Each has `units`, the numbers of a config that may shrink with what they count, and `resized`, the config with smaller
ones. How a unit lies in the weights is written down, not found out, so that the tests can hold every axis against it.
"""
