"""Cards that vouch for files, and say little else."""

from pathlib import Path

from service.artifact.card import Card, Machine, Transform, dump_card, record_files


def card_of(
    folder: Path, files: tuple[str, ...] = ("model.onnx",), transforms: dict[str, tuple[Transform, ...]] | None = None
) -> bytes:
    """A card.json with the digests of these files in `folder`."""
    card = Card(
        schema=1,
        family="f",
        variant="v",
        parent=None,
        chosen=None,
        files=record_files(folder, files),
        metrics={},
        evidence={},
        transforms=transforms or {},
        machine=Machine(architecture="x", cpu="x", cores=1, cpu_flags=(), versions={}),
    )
    return dump_card(card)
