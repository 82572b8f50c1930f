"""`hone-serve conformance` against what is no server of the protocol: one line, and an exit code that says so."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from service.client.conformance.discovery import Wanted, WrongOptionError, discover
from service.client.conformance.suite import run, selected
from service.command_line import dispatch
from service.exit_code import ExitCode
from tests.client.faults import when
from tests.client.right_server import MODEL, Told, serving
from tests.client.test_conformance import Direct, failures


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that does this with each connection, when it has read from it."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                with contextlib.suppress(OSError):
                    answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that it ends with, at exit code 1."""
    assert ExitCode.FAILED == dispatch(["conformance", *arguments])
    text = capsys.readouterr().err
    assert 1 == text.count("\n")
    return text


@pytest.mark.parametrize("more", [(), ("--model", "m")])
def test_another_kind_of_server(more: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Whose pages aren't what a user could name a model of."""
    with serving(lambda *_: Told(status=404, body=b"<html>\n  <h1>Not here</h1>\n</html>")) as url:
        text = said(capsys, url, *more)
    assert "doesn't speak the protocol: GET /v2 is answered 404 <html> <h1>Not here</h1> </html>" in text


def test_an_answer_in_drops(capsys: pytest.CaptureFixture[str]) -> None:
    """The time that a check may take is that of all of the answer, its head too."""

    def drip(connection: socket.socket) -> None:
        for number in range(200):
            connection.sendall(b"HTTP/1.1 200 OK\r\n" if number == 0 else b"x: y\r\n")
            time.sleep(0.05)

    began = time.monotonic()
    with answering(drip) as url:
        assert "doesn't answer within 0.4 s" in said(capsys, url, "--timeout", "0.4")
    assert time.monotonic() - began < 4


def test_an_answer_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    """It is read up to a bound."""

    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        while True:
            connection.sendall(bytes(1 << 20))

    with answering(pour) as url:
        assert "the answer has more than 67108864 bytes" in said(capsys, url)


def test_answers_that_are_nested_too_deeply() -> None:
    """They are failures of their checks, and unreadable where the server is looked at."""
    deep = Told(status=200, body=b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(WrongOptionError, match="--model NAME"):
        discover(Direct(when(lambda asked: "index" in asked.path, deep)), None, Wanted(), 5)
    target = discover(Direct(lambda *_: None), None, Wanted(model=MODEL), 5)
    target.http = Direct(lambda *_: deep)
    assert "http.metadata.server" in failures(run(selected(["http.metadata"]), target, 5))
