"""This machine's CPU, and one that a card speaks of."""

from service.artifact.card import Machine
from service.artifact.cpu import cpu_field, cpu_flags, missing_instructions


def machine(*flags: str) -> Machine:
    return Machine(architecture="x86_64", cpu="any", cores=2, cpu_flags=flags, versions={})


def test_the_kernel_is_asked() -> None:
    """What it doesn't say is None, and flags are words."""
    assert None is cpu_field("no such field")
    assert all(flag.strip() == flag != "" for flag in cpu_flags())


def test_what_a_cpu_lacks_is_named() -> None:
    """Instructions of the card's machine that this one hasn't; more than it had do no harm."""
    card = machine("avx2", "avx512_vnni", "amx_int8")
    assert ("avx512_vnni", "amx_int8") == missing_instructions(card, frozenset({"avx2", "avx512f"}))
    assert () == missing_instructions(card, frozenset(card.cpu_flags))
    assert () == missing_instructions(machine(), frozenset())
