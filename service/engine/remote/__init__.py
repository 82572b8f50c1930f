"""Models that another server computes: a remote Triton, asked over gRPC, one call for each request.

The `model` is such a generation, beside those of `served_model`; its `connection` speaks to the remote, its `breaker`
says whether that is worth trying, and `scheduling.remote` passes the exchanges through. What a remote answers instead
of tensors is a `fault`; the `address` is the operator's, never a config's.
"""
