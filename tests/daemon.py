"""A program of the Prometheus project in a process of its own, on a free port of the loopback."""

import json
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_LISTENS = re.compile(r"address=(127\.0\.0\.1:[1-9][0-9]*)")
_STARTING = 30.0


class Daemon:
    """Owns the process. `command` makes it listen on 127.0.0.1:0; `data` is a folder that nobody else uses."""

    def __init__(self, command: Sequence[str], data: Path) -> None:
        self._name = Path(command[0]).name
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=data
        )
        self._said: deque[str] = deque(maxlen=100)
        self._address = ""
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def address(self) -> str:
        """Host and port where it listens, once it does."""
        return self._address

    def wait_until_ready(self) -> None:
        """Raises RuntimeError with its last lines when it doesn't get ready."""
        self._listens.wait(_STARTING)
        if not self._address or not self.until(self._is_ready, _STARTING):
            self.stop()
            raise RuntimeError(f"{self._name} didn't get ready; it said:\n" + "".join(self._said))

    def ask(self, path: str, **parameters: str) -> Any:
        """The JSON that it answers. Raises ValueError with what it says of a question that it refuses."""
        url = f"http://{self._address}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{parameters}: {error.read().decode()}") from None

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Wait until the condition holds, for so long at most, or until the process has ended; whether it does."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or self._process.poll() is not None:
                return False
            time.sleep(0.1)
        return True

    def stop(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._reader.join()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _read(self) -> None:
        assert self._process.stderr
        with self._process.stderr as stream:
            for line in stream:
                self._said.append(line)
                if found := _LISTENS.search(line):
                    self._address = found[1]
                    self._listens.set()
        self._listens.set()
