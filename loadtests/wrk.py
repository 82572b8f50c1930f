"""wrk, the load generator in C: one POST body over keep-alive connections, figures back as JSON."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[%s]==]
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests":%%d,"micros":%%d,"errors":%%d,"p50":%%.1f,"p99":%%.1f}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class WrkError(Exception):
    """wrk is missing, or requests failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one run of wrk came to; percentiles in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def throughput(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def run(url: str, body: str, *, connections: int, seconds: int) -> Load:
    """Send `body` to `url` over `connections` from one thread for `seconds`. Raises WrkError if any request failed."""
    tool = shutil.which("wrk")
    if tool is None:
        raise WrkError("wrk is missing, install it with: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "post.lua")
        script.write_text(_SCRIPT % body)
        command = [tool, "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
        command += ["--timeout", "10s", "--script", str(script), url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not found:
        raise WrkError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    figures = json.loads(found[0].removeprefix("RESULT "))
    if figures["errors"] or not figures["requests"]:
        raise WrkError(f"{figures['errors']} of {figures['requests']} requests failed")
    return Load(
        requests=figures["requests"],
        seconds=figures["micros"] / 1e6,
        p50_ms=figures["p50"] / 1e3,
        p99_ms=figures["p99"] / 1e3,
    )
