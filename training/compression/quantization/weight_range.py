"""How many bits the weights of integer kernels have: eight where the CPU adds products exactly, else seven."""

from service.artifact.cpu import cpu_flags

VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""Instructions that add four products of bytes in 32 bits; without, two are added in 16, which may overflow."""


def reduced_range(asked: bool | None = None) -> bool:
    """Whether weights are to have 7 bits: what is `asked`, or else what this CPU needs.

    Whatever quantizes decides by this, and so does what trains for it. A card says which CPU that was, and the service
    warns where a model of 8 bits is loaded by one without these instructions.
    """
    return not VNNI & cpu_flags() if asked is None else asked
