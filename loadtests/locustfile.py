"""Locust's entrance: users of every kind, shapes of load, gates, and response times in full.

`make loadtest` runs it headless. By hand: `locust -f loadtests/locustfile.py --host http://127.0.0.1:8000`, with
`--master` and `--worker` too; names of users behind it (`JsonUser BinaryUser`) leave the others out. The model is
HONE_LOADTEST_MODEL (`digits`), the size of its images is in the server's own description of the input. Every answer is
checked: a wrong shape, or probabilities that don't add up, count as failures, as any status but 200 does. Options are
given to the master, which hands them on.
"""

import logging
import sys
import urllib.request
from pathlib import Path
from typing import Any, NoReturn, cast

from grpc.experimental.gevent import init_gevent
from locust import events, stats
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import Runner, WorkerRunner

from loadtests.digits import images
from loadtests.gates import Gates, milliseconds, pace, ratio
from loadtests.response_times import ResponseTimes, four_digits
from loadtests.shapes import REPLAY, SHAPES, TraceError, read_trace
from loadtests.timetable import Timetable
from loadtests.users.binary_user import BinaryUser
from loadtests.users.grpc_user import GrpcUser
from loadtests.users.image_user import ImageUser
from loadtests.users.json_user import JsonUser
from loadtests.users.model import NAME, SETUP

__all__ = ["BinaryUser", "GrpcUser", "ImageUser", "JsonUser"]  # Locust looks for users in this file's names

USERS, SECONDS = 10, 60
"""Of a shape, unless --users and --run-time say otherwise."""

_times = ResponseTimes(setup=SETUP)


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """What this file understands besides Locust's own options."""
    group = parser.add_argument_group("Hone")
    group.add_argument(
        "--grpc-host",
        default="",
        env_var="HONE_LOADTEST_GRPC",
        help="HOST:PORT of the gRPC side; without it no GrpcUser",
    )
    group.add_argument("--shape", choices=(*SHAPES, REPLAY), help="up to --users in --run-time; replay follows --trace")
    group.add_argument("--trace", default="", help="CSV file for --shape replay: second,users or second,arrivals")
    group.add_argument("--pace", type=pace, default=0.0, help="requests per second of each user; 0: pauses of a moment")
    group.add_argument("--max-p95-ms", type=milliseconds, help="a higher 95th percentile ends with exit code 4")
    group.add_argument("--max-error-ratio", type=ratio, help="a larger share of failures ends with exit code 4")


@events.init_command_line_parser.add_listener
def load_images(**_: Any) -> None:
    """Importing their library takes a second, in which no user can go on. Later a worker has said that it is ready."""
    images(16)


@events.init.add_listener
def prepare(environment: Environment, runner: Runner, **_: Any) -> None:
    """Before the clock runs: what Locust has to be told, and all that may be wrong with the options."""
    stats.bucket_response_time = cast("Any", four_digits)  # Locust's own place for it; it says whole numbers
    _times.listen(environment.events)
    init_gevent()
    options: Any = environment.parsed_options
    if isinstance(runner, WorkerRunner):
        return  # options come from the master
    if options.num_users is not None and options.num_users < 1:
        _leave(2, f"--users: {options.num_users}: expected a whole number above 0")
    if options.run_time == 0:
        _leave(2, "--run-time: 0 seconds would be a run without end; leave it out for that")
    if not options.grpc_host:
        if options.user_classes and GrpcUser.__name__ in options.user_classes:
            _leave(2, "GrpcUser needs --grpc-host HOST:PORT")
        environment.user_classes = [one for one in environment.user_classes if one is not GrpcUser]
    if (options.shape == REPLAY) != bool(options.trace):
        _leave(2, f"--trace FILE goes with --shape {REPLAY}, and neither without the other")
    if options.shape:
        environment.shape_class = _shape(options)
        environment.shape_class.runner = runner
    if options.headless:
        _look(environment.host)


@events.quitting.add_listener
def judge(environment: Environment, **_: Any) -> None:
    """What the run came to, at the master; a run that sent nothing proves nothing."""
    if isinstance(environment.runner, WorkerRunner):
        return
    options: Any = environment.parsed_options
    total = environment.stats.total
    for name in (*_times.names, ""):
        told = ", ".join(
            f"p{point} {value:.2f}"
            for point, value in zip((50, 95, 99), _times.percentiles((50, 95, 99), name), strict=True)
        )
        print(f"{name or 'all'}: {len(_times.of(name)):,} requests, {told} ms")
    if options.csv_prefix:
        _times.write(Path(f"{options.csv_prefix}_response_times.csv"))
    gates = Gates(max_p95_ms=options.max_p95_ms, max_error_ratio=options.max_error_ratio)
    code, wrong = gates.verdict(
        requests=total.num_requests, failures=total.num_failures, p95_ms=_times.percentiles((95,))[0]
    )
    for line in wrong:
        logging.getLogger(__name__).error(line)
    environment.process_exit_code = code


def _shape(options: Any) -> Timetable:
    """The shape that was asked for; its trace decides how many users there are, and for how long."""
    if options.shape != REPLAY:
        users, seconds = options.num_users or USERS, options.run_time or SECONDS
        return Timetable(SHAPES[options.shape](users, seconds), seconds)
    try:
        trace = read_trace(Path(options.trace))
    except TraceError as error:
        _leave(2, str(error))
    if trace.is_arrivals:
        options.pace = 1.0
    return Timetable(trace.at, trace.seconds)


def _look(host: str | None) -> None:
    """End here where nobody would answer."""
    if not host:
        _leave(2, "name the server: --host http://HOST:PORT")
    try:
        urllib.request.urlopen(f"{host}/v2/models/{NAME}/ready", timeout=10).close()
    except (OSError, ValueError) as error:
        _leave(1, f"{host} doesn't serve model {NAME!r}: {error}")


def _leave(code: int, why: str) -> NoReturn:
    print(f"loadtest: {why}", file=sys.stderr)
    sys.exit(code)
