"""Every request of the table, through both entrances."""

import json

import pytest

from tests.contract.cases import CASES, Case
from tests.contract.live import Client, Live, ask, body, status


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_entrances_answer_with_the_same_bytes(
    case: Case, fast_server: Live, plain_server: Live, observed_server: Live
) -> None:
    """Status line, headers, their order and the body are the same, and are what the table says; whether or not somebody
    listens.
    """
    answers = [ask(live.port, case.request) for live in (fast_server, plain_server, observed_server)]

    assert answers[0] == answers[1] == answers[2]
    assert status(answers[0]) == case.status, answers[0]
    text = body(answers[0])
    if isinstance(case.expected, str):
        assert case.expected.encode() in text
    else:
        assert json.loads(text) == case.expected
    if case.reason:
        error = json.loads(text)
        assert error["reason"] == case.reason
        assert set(error) == {"error", "reason"}
        assert "\n" not in error["error"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_that_comes_again_is_answered_again(case: Case, fast_server: Live) -> None:
    """The same request three times on one connection has the same answer three times, while the connection lasts."""
    with Client(fast_server.port) as client:
        client.send(case.request)
        first = client.answer()
        for _ in range(2):
            if b"connection: close" in first:
                assert client.is_closed()
                break
            client.send(case.request)
            assert client.answer() == first


def test_names_of_cases_differ() -> None:
    """No case of the table hides another."""
    names = [case.name for case in CASES]

    assert len(names) == len(set(names))
