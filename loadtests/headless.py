"""Locust without its web page: `python -m loadtests.headless [--url http://...]`, non-zero when any request failed.

Without a URL, a server of its own serves the committed models while the load lasts. Exit code 4: a gate is broken.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from loadtests.gates import count, milliseconds, ratio
from loadtests.served import ROOT, ServerError, hone
from loadtests.shapes import REPLAY, SHAPES, TraceError, read_trace

GRACE_SECONDS = 60
KINDS = {"json": "JsonUser", "binary": "BinaryUser", "images": "ImageUser", "grpc": "GrpcUser"}


def main() -> int:
    """Run Locust and return its exit code."""
    options = _options()
    try:
        if options.url:
            return run(options.url, options.grpc, options)
        with hone(ROOT / "models", grpc=True) as served:
            return run(served.url, served.grpc_target, options)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    except TraceError as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 2
    except subprocess.TimeoutExpired as error:
        print(f"loadtest: Locust hadn't ended after {error.timeout:.1f} seconds, and was killed", file=sys.stderr)
        return 1


def run(url: str, grpc: str, options: argparse.Namespace) -> int:
    """Load the server at `url` for a bounded time. 0 when every request was answered as it should be.

    Raises TraceError.
    """
    command = [sys.executable, "-m", "locust", "--locustfile", str(ROOT / "loadtests" / "locustfile.py"), "--headless"]
    command += ["--host", url, "--users", str(options.users), "--spawn-rate", str(options.users)]
    command += ["--run-time", f"{options.seconds}s", "--stop-timeout", "5", "--only-summary"]
    given = {
        "--grpc-host": grpc,
        "--shape": options.shape,
        "--trace": _absolute(options.trace),
        "--max-p95-ms": options.max_p95_ms,
        "--max-error-ratio": options.max_error_ratio,
        "--html": _absolute(options.html),
        "--csv": _absolute(options.csv),
    }
    command += [f"{flag}={value}" for flag, value in given.items() if value not in {None, ""}]
    command += [KINDS[kind] for kind in options.kinds or KINDS if kind != "grpc" or grpc or options.kinds]
    environment = {**os.environ, "HONE_LOADTEST_MODEL": options.model, "PYTHONPATH": str(ROOT)}
    seconds = read_trace(options.trace).seconds if options.trace else options.seconds
    return subprocess.run(command, cwd=ROOT, env=environment, timeout=seconds + GRACE_SECONDS, check=False).returncode


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.headless", description=__doc__)
    parser.add_argument("--url", type=_http, help="a running server; without it one is started on the committed models")
    grpc = os.environ.get("HONE_LOADTEST_GRPC", "")
    parser.add_argument("--grpc", default=grpc, metavar="HOST:PORT", help="with --url: its gRPC side (it isn't loaded)")
    parser.add_argument("--model", default="digits", help="the model to ask (digits)")
    parser.add_argument("--users", type=count, default=20, help="users at once, with --shape at most (20)")
    parser.add_argument("--seconds", type=count, default=20, help="length of the run (20)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help="kinds of users (all)")
    parser.add_argument("--shape", choices=(*SHAPES, REPLAY), help="how many users at which moment (all at once)")
    parser.add_argument("--trace", type=Path, help="for --shape replay: CSV of second,users or second,arrivals")
    parser.add_argument("--max-p95-ms", type=milliseconds, help="a higher 95th percentile ends with exit code 4")
    parser.add_argument("--max-error-ratio", type=ratio, help="a larger share of failures ends with exit code 4 (none)")
    parser.add_argument("--html", type=Path, help="file for Locust's report")
    parser.add_argument("--csv", type=Path, help="prefix of files with Locust's figures and every response time")
    return parser.parse_args()


def _absolute(path: Path | None) -> Path | None:
    """Locust runs elsewhere."""
    return path and path.resolve()


def _http(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError("begin with http:// or https://")
    return text.rstrip("/")


if __name__ == "__main__":
    sys.exit(main())
