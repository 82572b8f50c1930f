"""What this process holds open of the kinds that the service opens for workers and model files."""

import gc
import os
import socket
import stat
from collections import Counter
from pathlib import Path


def held_open() -> Counter[str]:
    """How many model files, shared memories, process descriptors and packet sockets are open now.

    What other tests have used opens and closes other files, event descriptors, pipes and connections at any moment,
    from threads of its own: those aren't counted, nor what an earlier test left to the collector.
    """
    gc.collect()
    kinds: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            copy = os.dup(int(name))
        except OSError:
            continue  # the listing's own, or one of another thread
        try:
            kinds[_kind(copy)] += 1
        finally:
            os.close(copy)
    del kinds[""]
    return kinds


def _kind(descriptor: int) -> str:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            return "packet socket" if copy.type == socket.SOCK_SEQPACKET else ""
    name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
    if stat.S_ISREG(mode):
        return "memory" if name.startswith("/memfd:") else "model" if ".onnx" in name else ""
    return "process" if name == "anon_inode:[pidfd]" else ""
