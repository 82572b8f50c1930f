"""What a hot swap costs: `make bench-swap` replaces a small model again and again under a steady load.

Clients wait for each answer and pause for some milliseconds. Their latencies are told apart: between swaps, while the
new generation is loaded and tried beside the old one, and around the moment when it takes over. Memory of the front is
looked at after every swap; it should not grow with their number. Numbers are checked as in the soak.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from rich.console import Console
from rich.progress import track

from loadtests import swap_report
from loadtests.request import binary_request
from loadtests.served import ServerError, leave_on_sigterm
from loadtests.soaking.ledger import OK, Ledger
from loadtests.soaking.networks import QUICK, ROWS, rows
from loadtests.soaking.scene import Caller, Scene
from loadtests.soaking.service import Service, soaked
from loadtests.soaking.shelf import Shelf
from loadtests.soaking.stage import EXPLICIT, FLAGS
from loadtests.soaking.vitals import look
from loadtests.swap_report import Swaps

CLIENTS = 2
PAUSE_SECONDS = 0.004
LOAD_SECONDS = 2.0
"""What a load takes, about: a second of it is the wait for calm files."""

ROLE = "steady"


def main() -> int:
    """Measure, print and write; 1 when memory grew or an answer was wrong."""
    options = _options()
    leave_on_sigterm()
    print(f"about {options.swaps * (LOAD_SECONDS + options.gap) / 60 + 0.5:.0f} minutes", flush=True)
    found = swap_report.figures(measure(options.swaps, options.gap, Console(stderr=True)))
    print(swap_report.write(found))
    return 0 if found["met"] else 1


def measure(count: int, gap: float, console: Console) -> Swaps:
    """So many swaps with `gap` seconds of peace after each. Raises ServerError."""
    with tempfile.TemporaryDirectory(prefix="hone-swap-") as scratch:
        shelf = Shelf(Path(scratch, "models"))
        shelf.begin(QUICK)
        with soaked(shelf.root, Path(scratch, "own"), FLAGS[EXPLICIT]) as service:
            swaps, scene = Swaps(), Scene(port=service.port, ledger=Ledger())
            clients = [threading.Thread(target=_client, args=(scene, swaps, one)) for one in range(CLIENTS)]
            for client in clients:
                client.start()
            try:
                _swap(service, shelf, swaps, gap, track(range(count), console=console, description="swaps"))
            finally:
                scene.over.set()
                for client in clients:
                    client.join()
            swaps.wrong += scene.ledger.violations({ROLE: (OK,)})
            swaps.wrong += service.stop()
    return swaps


def _swap(service: Service, shelf: Shelf, swaps: Swaps, gap: float, turns: Iterable[int]) -> None:
    client = triton.InferenceServerClient(service.address, network_timeout=300)
    time.sleep(gap)
    for _ in turns:
        shelf.replace(QUICK)
        began = time.monotonic()
        client.load_model(QUICK.name)
        swaps.loads.append((began, time.monotonic()))
        time.sleep(gap)
        swaps.vitals.append(look(service.pid))
    client.close()


def _client(scene: Scene, swaps: Swaps, seed: int) -> None:
    draw, caller = np.random.default_rng(seed), Caller(scene)
    while not scene.over.is_set():
        row = int(draw.integers(ROWS))
        request = binary_request(f"/v2/models/{QUICK.name}/infer", "swap", "x", "FP32", rows()[row : row + 1])
        asked = scene.ask(ROLE, QUICK.name, row)
        kind, body = caller.ask(request)
        swaps.answers.append((asked.began, time.monotonic() - asked.began))
        if kind == OK:
            scene.answered(asked, body["model_version"], np.array(body["outputs"][0]["data"]))
        else:
            scene.failed(asked, kind, str(body))
        scene.pause(PAUSE_SECONDS)
    caller.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.swap", description=__doc__)
    parser.add_argument("--swaps", type=int, default=200, help="how many (200)")
    parser.add_argument("--gap", type=float, default=1.0, help="seconds of peace after each (1)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ServerError as error:
        sys.exit(str(error))
