"""Worker processes: one process computes one instance of one model version on one device.

The front process and a worker share memory (`region`) and talk in `frames` over a seqpacket socket. `process` is the
front's side of one process life, `instance` keeps one such life going after another, and `main` is what runs inside.
A `plan` tells a worker everything it has to know: it never reads a model's configuration.
"""
