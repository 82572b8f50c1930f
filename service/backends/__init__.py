"""What computes a batch inside a worker: the `Backend` contract, and one file per runtime that keeps it."""
