"""wrk, the load generator in C: one POST body over keep-alive connections, figures back as JSON."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from loadtests.request import Request

_SCRIPT = """\
local file = assert(io.open(%(body)s, "rb"))
wrk.method = "POST"
wrk.headers = %(headers)s
wrk.body = file:read("*a")
file:close()
local main
function setup(thread) main = thread end
function done(summary, latency)
  local e, slope = summary.errors, %(slope)s
  io.write(string.format(
    '\\nRESULT {"requests":%%d,"micros":%%d,"broken":%%d,"refused":%%d,"p50":%%.1f,"p99":%%.1f,"rate":%%.6f}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50), latency:percentile(99), slope))
end
"""
_PACED = """\
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long us; } hone_time; int gettimeofday(hone_time *, void *);")
local now, zero = ffi.new("hone_time"), nil
n, st, si, stt, sti = 0, 0, 0, 0, 0
function response(status)
  if status ~= 200 then return end
  ffi.C.gettimeofday(now, nil)
  local t = tonumber(now.s) + tonumber(now.us) / 1e6
  zero = zero or t
  t = t - zero
  n = n + 1
  st, si, stt, sti = st + t, si + n, stt + t * t, sti + t * n
end
"""
_SLOPE = """\
(function()
    local n, st, si = main:get("n"), main:get("st"), main:get("si")
    local spread = n * main:get("stt") - st * st
    return spread > 0 and (n * main:get("sti") - st * si) / spread or 0
  end)()"""
"""Answers per second as the slope of their count over time: what is in flight at the end of a turn doesn't matter."""


class WrkError(Exception):
    """wrk is missing, or requests failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one run of wrk came to: answered requests, those refused with a status, percentiles in milliseconds."""

    requests: int
    refused: int
    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float

    @property
    def throughput(self) -> float:
        """Requests answered with 200, per second."""
        return self.rate or self.requests / self.seconds


def run(
    url: str, request: Request, *, connections: int, seconds: int, slow: bool = False, refusals: bool = False
) -> Load:
    """Send `request` to the server at `url` over `connections` from one thread for `seconds`.

    `slow` takes the throughput from the times of the answers, for when few fit into the turn; it costs wrk some
    microseconds an answer. Raises WrkError if a connection broke or, without `refusals`, a status told of an error.
    """
    tool = shutil.which("wrk")
    if tool is None:
        raise WrkError("wrk is missing, install it with: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        script, body = Path(folder, "post.lua"), Path(folder, "body")
        body.write_bytes(request.body)
        headers = "".join(f"[{json.dumps(name)}]={json.dumps(value)}," for name, value in request.headers.items())
        filled = _SCRIPT % {
            "body": json.dumps(str(body)),
            "headers": "{" + headers + "}",
            "slope": _SLOPE if slow else "0",
        }
        script.write_text((_PACED if slow else "") + filled)
        command = [tool, "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
        command += ["--timeout", "30s", "--script", str(script), url + request.path]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
        except subprocess.TimeoutExpired as error:
            raise WrkError(f"wrk didn't end within {error.timeout:.0f} s") from error
    return _read(done, refusals=refusals)


def _read(done: subprocess.CompletedProcess[str], *, refusals: bool) -> Load:
    found = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not found:
        raise WrkError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
    figures = json.loads(found[0].removeprefix("RESULT "))
    answered = figures["requests"] - figures["refused"]
    failed = figures["broken"] + (0 if refusals else figures["refused"])
    if failed:
        raise WrkError(f"{figures['broken']} connections broke, {figures['refused']} requests were refused")
    if answered <= 0:
        raise WrkError(f"no request was answered in {figures['micros'] / 1e6:.0f} s, {figures['refused']} were refused")
    return Load(
        requests=answered,
        refused=figures["refused"],
        seconds=figures["micros"] / 1e6,
        rate=figures["rate"],
        p50_ms=figures["p50"] / 1e3,
        p99_ms=figures["p99"] / 1e3,
    )
