"""A closed loop over gRPC: `python -m loadtests.grpc_load TARGET FILE` sends the ModelInferRequest in FILE.

So many calls are under way at any time; each is followed by the next as soon as it is answered. Messages are sent and
taken as bytes, so that the client does as little as Python can. The last line on stdout is the result, in JSON.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import uvloop

from loadtests.served import ROOT

METHOD = "/inference.GRPCInferenceService/ModelInfer"
_CALLS_A_CHANNEL = 16


class GrpcLoadError(Exception):
    """A call failed, or the generator did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GrpcLoad:
    """Answered calls, the seconds that they took, and percentiles of a call in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def throughput(self) -> float:
        """Calls answered per second."""
        return self.requests / self.seconds


def run(target: str, message: Path, *, calls: int, seconds: float) -> GrpcLoad:
    """Load from a process of its own: gRPC's threads stay out of this one. Raises GrpcLoadError."""
    words = [target, str(message), "--calls", str(calls), "--seconds", str(seconds)]
    command = [sys.executable, "-m", "loadtests.grpc_load", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode != 0:
        raise GrpcLoadError(f"the load failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return GrpcLoad(**json.loads(done.stdout.splitlines()[-1]))


async def offer(target: str, message: bytes, calls: int, seconds: float) -> GrpcLoad:
    """The load itself. Raises grpc.RpcError."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    channels = [grpc.aio.insecure_channel(target, options) for _ in range(-(-calls // _CALLS_A_CHANNEL))]
    taken: list[float] = []
    begun = time.perf_counter()

    async def one(number: int) -> None:
        infer = channels[number % len(channels)].unary_unary(METHOD)
        while (before := time.perf_counter()) - begun < seconds:
            await infer(message)
            taken.append(time.perf_counter() - before)

    try:
        await asyncio.gather(*[one(number) for number in range(calls)])
    finally:
        for channel in channels:
            await channel.close()
    ended = time.perf_counter()
    taken.sort()
    return GrpcLoad(
        requests=len(taken),
        seconds=ended - begun,
        p50_ms=taken[len(taken) // 2] * 1e3,
        p99_ms=taken[len(taken) * 99 // 100] * 1e3,
    )


def main() -> int:
    """Offer the load and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.grpc_load", description=__doc__)
    parser.add_argument("target", help="host:port")
    parser.add_argument("message", type=Path, help="a serialized ModelInferRequest")
    parser.add_argument("--calls", type=int, default=64, help="calls under way at any time (64)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long (3)")
    options = parser.parse_args()
    load = offer(options.target, options.message.read_bytes(), options.calls, options.seconds)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            print(json.dumps(asdict(runner.run(load))))
        except grpc.RpcError as error:
            print(f"{error.code()}: {error.details()}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
