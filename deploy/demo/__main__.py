"""The last part of `make demo`: serve what was just trained, and classify real digits over HTTP.

`python -m deploy.demo [--once]` starts the service as anybody would, prints the variants and
real predictions for images that training never saw, and leaves the server running with lines to copy. Ctrl-C ends it.
"""

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType

from rich.console import Console

from deploy.demo.digits_client import MODEL, DigitsClient
from deploy.demo.held_out import held_out_digits
from deploy.demo.screen import invitation, predictions, variants
from loadtests.served import ROOT, ServerError, free_port, hone, is_free
from service.repository.scan import scan_model

HTTP_PORT, METRICS_PORT = 8000, 8002


def main() -> int:
    """Run the demo; 0 when every prediction could be had."""
    options = _options()
    repository: Path = options.repository
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    port = HTTP_PORT if is_free(HTTP_PORT) else free_port()
    metrics_port = METRICS_PORT if is_free(METRICS_PORT) else free_port()
    try:
        digits = held_out_digits(options.profile)
        with hone(repository, port=port, metrics_port=metrics_port) as served, DigitsClient(served.port) as client:
            console.print(variants(repository))
            console.print(predictions(client, digits))
            if not options.once:
                body = ROOT / "runs" / "digit.json"
                body.parent.mkdir(exist_ok=True)
                body.write_text(json.dumps(client.json_body(digits.images[0])))
                golden = scan_model(repository, MODEL).versions[0].model_path.with_name("golden.npz")
                lines = invitation(served.url, metrics_port, body=_shown(body), golden=_shown(golden))
                console.print(lines, soft_wrap=True)
                signal.pause()
    except ServerError as error:
        console.print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
    return 0


def _shown(path: Path) -> Path:
    """The path as it is typed from here, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path("runs/models"), help="what `hone-train` published into")
    parser.add_argument("--profile", default="quick", help="by which of the recipe's profiles it was trained (quick)")
    parser.add_argument("--once", action="store_true", help="stop after the predictions")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
