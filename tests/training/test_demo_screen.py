"""What the demo prints of the models that were just published."""

import json
import shutil
from io import StringIO
from pathlib import Path

from rich.console import Console

from deploy.demo.screen import variants
from service.artifact.card import CARD_NAME, load_card


def shown(repository: Path) -> str:
    console = Console(width=160, file=StringIO(), record=True)
    console.print(variants(repository))
    return console.export_text()


def test_the_demo_shows_every_model_beside_its_teacher(story: Path) -> None:
    """A line a model with accuracy, size and time, how much smaller and faster than the teacher, and the chosen one."""
    text = shown(story / "models")
    lines = {line.split()[1]: line for line in text.splitlines() if line.split()[2:3] == ["v1"]}
    names = ["digits", "digits-int8", "digits-pruned", "digits-student", "digits-teacher"]
    assert names == sorted(lines)
    for name, line in lines.items():
        card = load_card(story / "models" / name / "1" / CARD_NAME)
        for figure in (f"{card.metrics['accuracy']:.4f}", f"{card.metrics['compute_seconds'] * 1e3:.2f} ms"):
            assert figure in line
        gain = f"{card.metrics['speedup_compute']:.2f} / {card.metrics['speedup_throughput']:.2f}"
        assert f"{card.metrics['shrink']:.1f}x" in line
        assert gain in line
    assert "1.00 / 1.00" in lines["digits-teacher"]


def test_models_that_were_measured_otherwise_are_left_out(story: Path, tmp_path: Path) -> None:
    """A repository may hold versions from before: they are served, but their figures can't stand beside the others."""
    shutil.copytree(story / "models", tmp_path / "models")
    path = tmp_path / "models" / "digits-student" / "1" / CARD_NAME
    card = json.loads(path.read_text())
    card["metrics"] = {"accuracy": 0.99, "speedup_batch_1": 1.1}
    path.write_text(json.dumps(card))
    text = shown(tmp_path / "models")
    assert "digits-student v1" not in text
    assert "digits-pruned v1" in text
