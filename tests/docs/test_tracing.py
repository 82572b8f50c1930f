"""What docs/tracing.md says to copy, run as it is but for the port."""

import json
import re
import shutil
import subprocess
from pathlib import Path

from loadtests.served import ROOT
from tests.integration.served import serving
from tests.telemetry.collector import collecting

(EXAMPLE,) = re.findall(r"```console\n(.*?)```", (ROOT / "docs" / "tracing.md").read_text(), re.DOTALL)


def test_the_request_is_answered_and_its_trace_is_found(tmp_path: Path) -> None:
    """By the id that was printed."""
    shutil.copytree(ROOT / "models" / "digits", tmp_path / "digits")
    with collecting() as collected:
        with serving(tmp_path, "--otlp-endpoint", collected.url) as served:
            text = EXAMPLE.replace("localhost:8000", served.http.removeprefix("http://"))
            done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=60, check=False)
        trace, _, answer = done.stdout.partition("\n")

        assert "digits" == json.loads(answer)["model_name"], done
        assert collected.of(trace)
