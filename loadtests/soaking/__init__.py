"""A service that is given no rest: traffic of every kind, swaps, kills, and an account of what became of each request.

`networks.py` are the models, whose answers say which weights computed them, `shelf.py` the repository that they are
published in, `service.py` the process, `roles.py` and `mischief.py` the clients, `troubles.py` what happens besides,
`ledger.py` what became of the requests, `scrapes.py` what the service itself counted, `vitals.py` its memory,
descriptors and processes, `stage.py` all of that around one service.
"""
