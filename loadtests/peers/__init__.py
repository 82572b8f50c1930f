"""Other servers of models, each in an environment of its own, given the same ONNX file as Hone.

`peer.py` says what each is and where it listens, `environment.py` installs it, `servers/` holds the programs that run
there. Those import nothing of Hone's packages, and of the load tests only what needs no more than numpy, onnxruntime
and orjson: `assignment.py`, `network.py`, `oip.py`.
"""
