"""One program a peer, run in the peer's own environment, tuned as the peer's documentation says."""
