"""Does a server speak the Open Inference Protocol, and those of Triton's extensions that it says it has?

A `Check` is a sentence of a specification and a function that asks a server whether it holds: what it says is its
docstring, and it raises CheckFailed with what was expected and what came, or CheckSkipped with what was missing
(`expectation.py`). `discovery.py` finds out what can be asked (a `Target`: the server, a model, inputs that were made
up for it), `checks/` are the checks by subject, `suite.py` is all of them in order and runs them, and what comes out is
a `Report`.

It talks to any server: `http_client.py` sends bytes as they are, malformed ones too, and `rpc.py` is the only file
that needs grpc. Nothing is loaded, unloaded or changed at the server; what is sent is small, and each check has a time.
"""
