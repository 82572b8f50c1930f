"""The entry point: `python -m service`, installed as `hone-serve`. What the words after it mean: `command_line`."""

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line."""
    # Before anything heavy is imported: the first process of a container would ignore SIGTERM in that second, and
    # Ctrl-C would print a trace. The server puts handlers of its own in their place.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    # Read when gRPC is loaded. It writes a line, with bytes as they came, for each header that it refuses.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from service.command_line import dispatch

    sys.exit(dispatch(sys.argv[1:]))


def _leave(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)  # there is nothing to undo yet, and an exception would be lost in a callback of the import


if __name__ == "__main__":
    main()
