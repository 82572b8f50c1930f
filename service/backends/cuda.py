"""What there is to know of CUDA, apart from any runtime: its errors that last, and memory that it copies quickly."""

import ctypes
import os
import re
from collections.abc import Callable
from typing import Any

LIBRARIES = ("libcudart.so.13", "libcudart.so.12")
_PORTABLE = 1  # cudaHostRegisterPortable: for every context of the process
_STICKY = frozenset({46, 100, 214, 220, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 802})
"""Codes of cudaError_t after which a process gets nothing but errors, by the CUDA Runtime API's own list: a device that
is gone or broken, and kernels that read where they mustn't. Lack of memory (2) isn't among them."""
_FAILURE = re.compile(r"\bCUDA failure (\d+)")


def is_lasting(text: str) -> bool:
    """Whether an error that ONNX Runtime raised is one that only another process can get rid of."""
    return any(int(code) in _STICKY for code in _FAILURE.findall(text))


def pin(memory: memoryview, device: int, load: Callable[[str], Any] | None = None) -> bool:
    """Page-lock writable memory, so that the GPU called `device` copies to and from it directly; whether that worked.

    Where it doesn't, copies take a detour through memory of the driver's own: slower, and just as right. `load` finds
    a library by name; raises OSError. Left out, it finds what the runtime has loaded already.
    """
    library = _library(load or _loaded)
    if library is None or not len(memory):
        return False
    address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    size = ctypes.c_size_t(memory.nbytes)
    pinned = not library.cudaSetDevice(device) and not library.cudaHostRegister(address, size, _PORTABLE)
    if not pinned:
        library.cudaGetLastError()  # forget it: the runtime would take our error for one of its own
    return pinned


def _library(load: Callable[[str], Any]) -> Any:
    for name in LIBRARIES:
        try:
            return load(name)
        except OSError:
            continue
    return None


def _loaded(name: str) -> Any:
    return ctypes.CDLL(name, mode=os.RTLD_NOLOAD)
