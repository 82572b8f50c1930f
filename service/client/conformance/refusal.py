"""What a server must say when it refuses.

That it refuses, and in which form it says so, are checked apart: one fault is one failure.
"""

from service.client.conformance.expectation import CheckFailed, expect
from service.client.conformance.http_client import Answer


def expect_refusal(answer: Answer, what: str) -> None:
    """Raise CheckFailed unless this is an HTTP error status."""
    expect(400 <= answer.status < 600, f"{what}: expected an error status (400), got {answer.brief}")


def expect_status(answer: Answer, status: int, what: str) -> None:
    """Raise CheckFailed unless the status is this one."""
    expect(answer.status == status, f"{what}: expected {status}, got {answer.brief}")


def expect_error_object(answer: Answer, what: str) -> None:
    """Raise CheckFailed when this is a refusal and its body isn't `{"error": text}`; it may say more."""
    if answer.status < 400:
        return
    try:
        found = answer.json()
    except CheckFailed:
        found = None
    text = found.get("error") if isinstance(found, dict) else None
    expect(isinstance(text, str) and text, f'{what}: expected {{"error": "..."}}, got {answer.brief}')
