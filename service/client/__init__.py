"""Clients of any server of the protocol: they know nothing of Hone.

A generator offers requests at times that the server can't influence. A closed loop waits for an answer before it sends
again, so a server that stalls also stops its own measurement. Here the times of all requests are drawn beforehand, and
latency counts from the moment a request was to be sent. `open_loop.py` is the generator, `arrivals.py` the times,
`connection.py` one connection, `outcome.py` what it came to. `closed_loop.py` is for what a closed one is good for: how
much a server can do. `bench.py` offers both to a server of which only the address is known. `conformance/` asks whether
the server does what the protocol says.
"""
