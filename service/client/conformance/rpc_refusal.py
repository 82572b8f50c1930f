"""What a call must end with that the server refuses."""

from collections.abc import Callable
from typing import Any

from service.client.conformance.expectation import CheckFailed, expect


class RpcRefused(Exception):
    """The call ended with another code than OK."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code} {text}".strip()[:300])
        self.code = code

    @property
    def is_answer(self) -> bool:
        """False when nobody answered: that is no refusal."""
        return self.code not in {"DEADLINE_EXCEEDED", "UNAVAILABLE"}


def expect_rpc_refused(ask: Callable[[], Any], what: str, *codes: str) -> None:
    """Raise CheckFailed unless the call ends with an error of the server; with one of `codes`, if there are any."""
    try:
        answer = ask()
    except RpcRefused as error:
        expect(error.is_answer, f"{what}: expected an error status, got no answer ({error})")
        if codes:
            expect(error.code in codes, f"{what}: expected {' or '.join(codes)}, got {error}")
        return
    raise CheckFailed(f"{what}: expected an error status, got OK with {str(answer)[:120]!r}")
