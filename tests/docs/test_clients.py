"""What docs/clients.md says to copy, run as it is but for the ports."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from loadtests.served import ROOT
from tests.integration.alphabet import write_alphabet
from tests.integration.classifier import write_classifier
from tests.integration.models import summing
from tests.integration.served import Served, serving, write_model

PAGE = (ROOT / "docs" / "clients.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
LINES = [line for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
SUM = """
max_batch_size: 8
sequence_batching {
  max_sequence_idle_microseconds: 60000000
  state [ { input_name: "sum" output_name: "new_sum" data_type: TYPE_FP32 dims: [ 1 ] } ]
}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The models that the page speaks of."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "models" / "digits", root / "digits")
    write_model(root, "sum", config=SUM, model=summing())
    write_alphabet(root, "abc")
    write_classifier(root, "kinds")
    with serving(root, "--model-control-mode", "explicit", "--load-model", "*") as server:
        yield server


def here(text: str, served: Served) -> str:
    """With the ports of this server."""
    ports = {"localhost:8000": served.http, "localhost:8001": served.grpc, "localhost:8002": served.metrics}
    for written, address in ports.items():
        text = text.replace(written, address.removeprefix("http://"))
    return text


def test_the_page_has_snippets() -> None:
    """They are found: nothing on the page goes unrun."""
    assert len(SNIPPETS) >= 9
    assert len(LINES) >= 9
    assert PAGE.count("```") == 2 * (len(SNIPPETS) + 1)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippet(served: Served, number: int) -> None:
    """It runs to its end, and prints something where it says so."""
    code = here(SNIPPETS[number], served)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert bool(done.stdout) == ("print(" in code)


@pytest.mark.parametrize("line", LINES)
def test_line(served: Served, line: str) -> None:
    """curl is answered, and by no error."""
    command = here(line, served).replace("curl ", "curl -S --fail-with-body ", 1)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert done.stdout


def test_answers_are_those_that_the_models_give(served: Served) -> None:
    """The sums of the steps, and the letters that follow."""
    outputs = {}
    for code in SNIPPETS:
        if "sequence_id" in code or "text_input" in code:
            command = [sys.executable, "-W", "ignore", "-c", here(code, served)]
            outputs["sum" if "sequence_id" in code else "abc"] = subprocess.run(
                command, capture_output=True, text=True, timeout=60, check=True
            ).stdout

    assert [1, 3, 6] == [float(number) for number in re.findall(r"[\d.]+", outputs["sum"])]
    assert "cdefghij" == outputs["abc"]
