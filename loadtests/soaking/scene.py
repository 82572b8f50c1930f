"""Where the clients of a soak play: which service, which ledger, and until when."""

import http.client
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from loadtests.request import Request
from loadtests.served import HOST
from loadtests.soaking.ledger import LOST, OK, STALE, WRONG, Ledger
from loadtests.soaking.networks import OUTPUTS, ROWS, expected

TOLERANCE = 1e-3
"""Largest difference of an answer, as a share of its largest number."""

PATIENCE = 60.0
"""Seconds after which a request counts as lost: twice the service's own default deadline."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One service with its clients."""

    port: int
    ledger: Ledger
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    def pause(self, seconds: float) -> None:
        """Let that much time pass, unless the soak ends."""
        self.over.wait(seconds)

    def ask(self, role: str, model: str, row: int) -> "Asked":
        """A request for `row`, a row of `networks.rows`, is about to be sent."""
        newest = self.ledger.begin(role, model)
        return Asked(role=role, model=model, row=row, newest=newest, began=time.monotonic())

    def answered(self, asked: "Asked", version: str, answer: NDArray[Any]) -> None:
        """Enter its answer [11], and which version it is said to be of."""
        seconds = time.monotonic() - asked.began
        kind, text = judge(asked.model, asked.row, answer, asked.newest)
        if kind == OK and version not in ("1", str(int(answer[OUTPUTS]))):
            kind, text = WRONG, f"edition {answer[OUTPUTS]:.0f} said to be version {version}"
        if kind == OK:
            self.ledger.answered_by(asked.model, int(answer[OUTPUTS]))
        self.ledger.end(asked.role, asked.model, kind, seconds=seconds, text=text)

    def failed(self, asked: "Asked", kind: str, text: str) -> None:
        """Enter that it was answered with an error, or not at all."""
        self.ledger.end(asked.role, asked.model, kind, seconds=time.monotonic() - asked.began, text=text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request for a network's row; `newest` is the newest edition that had answered before it was sent."""

    role: str
    model: str
    row: int
    newest: int
    began: float


def judge(model: str, row: int, answer: NDArray[Any], newest: int) -> tuple[str, str]:
    """Whether an answer [11] is what the edition that it names computes, and what is wrong with it."""
    if answer.shape != (OUTPUTS + 1,) or not float(answer[OUTPUTS]).is_integer():
        return WRONG, f"shape {answer.shape}, edition {answer[-1:]}"
    edition = int(answer[OUTPUTS])
    right = expected(model, edition)[row % ROWS]
    if not close(answer, right):
        return WRONG, f"numbers that edition {edition} doesn't compute"
    return (OK, "") if edition >= newest else (STALE, f"edition {edition} after {newest}")


def close(found: NDArray[Any], right: NDArray[np.float32]) -> bool:
    """Whether numbers are right, within a share of the largest."""
    return bool(np.abs(found - right).max() <= TOLERANCE * np.abs(right).max())


class Caller:
    """Owns one keep-alive connection, for requests that a stock client can't send, and answers read by their reason."""

    def __init__(self, scene: Scene) -> None:
        self._connection = http.client.HTTPConnection(HOST, scene.port, timeout=PATIENCE)

    def ask(self, request: Request, headers: Mapping[str, str] | None = None) -> tuple[str, Any]:
        """How it ended: OK and the decoded body, or a reason or LOST and the text."""
        try:
            self._connection.request("POST", request.path, request.body, {**request.headers, **(headers or {})})
            answer = self._connection.getresponse()
            body = orjson.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            return LOST, repr(error)
        if answer.status == http.HTTPStatus.OK:
            return OK, body
        return str(body.get("reason", answer.status)), str(body.get("error"))

    def close(self) -> None:
        """Close; the next request opens it again."""
        self._connection.close()
