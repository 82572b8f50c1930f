"""Locust without its web page: `python -m loadtests.headless [--url http://...]`, non-zero when any request failed.

Without a URL, a server of its own serves the committed models while the load lasts.
"""

import argparse
import os
import subprocess
import sys
import urllib.request

from loadtests.served import ROOT, ServerError, hone

GRACE_SECONDS = 60


def main() -> int:
    """Run Locust and return its exit code."""
    options = _options()
    if options.url:
        return run(options.url, options)
    try:
        with hone(ROOT / "models") as served:
            return run(served.url, options)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1


def run(url: str, options: argparse.Namespace) -> int:
    """Load the server at `url` for a bounded time. 0 when every request was answered as it should be."""
    try:
        urllib.request.urlopen(f"{url}/v2/models/{options.model}/ready", timeout=10).close()
    except OSError as error:
        print(f"{url} doesn't serve model {options.model!r}: {error}", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "locust", "--locustfile", str(ROOT / "loadtests" / "locustfile.py"), "--headless"]
    command += ["--host", url, "--users", str(options.users), "--spawn-rate", str(options.users)]
    command += ["--run-time", f"{options.seconds}s", "--stop-timeout", "5", "--only-summary"]
    environment = {**os.environ, "HONE_LOADTEST_MODEL": options.model, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, timeout=options.seconds + GRACE_SECONDS, check=False
    ).returncode


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.headless", description=__doc__)
    parser.add_argument("--url", type=_http, help="a running server; without it one is started on the committed models")
    parser.add_argument("--model", default="digits", help="the model to ask (digits)")
    parser.add_argument("--users", type=int, default=20, help="users at once (20)")
    parser.add_argument("--seconds", type=int, default=20, help="length of the run (20)")
    return parser.parse_args()


def _http(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError("begin with http:// or https://")
    return text.rstrip("/")


if __name__ == "__main__":
    sys.exit(main())
