"""Models that are made of other models of the same server.

`model.py` is what the catalog sees of one. `composition.py` looks in the catalog for the models of its steps, and
`wiring.py` says whether what one step makes is what the next one takes, and turns it into that. `course.py` is what has
to be done for the outputs that a request asks for, `run.py` one request on its way, `gate.py` how many may be in a
step. `dependencies.py` says what has to be loaded before an ensemble, and what goes with it.
"""
