"""What a server must say when it refuses."""

from service.client.conformance.check import expect
from service.client.conformance.http_client import Answer


def expect_refusal(answer: Answer, what: str) -> None:
    """Raise CheckFailed unless this is an HTTP error status with the protocol's error object."""
    expect(400 <= answer.status < 600, f"{what}: expected an error status (400), got {answer.brief}")
    expect_error_object(answer, what)


def expect_status(answer: Answer, status: int, what: str) -> None:
    """The same, and the status must be this one."""
    expect(answer.status == status, f"{what}: expected {status}, got {answer.brief}")
    expect_error_object(answer, what)


def expect_error_object(answer: Answer, what: str) -> None:
    """Raise CheckFailed unless the body is `{"error": text}`; it may say more."""
    found = answer.json()
    text = found.get("error") if isinstance(found, dict) else None
    expect(isinstance(text, str) and text, f'{what}: expected {{"error": "..."}}, got {answer.brief}')
