"""How exchanges end: once, and told in the right order."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.engine.exchange import Exchange, end_all
from service.errors import BackendError, HoneError
from service.messages import InferRequest, InferResponse

REQUEST = InferRequest(model="m", version=None, inputs=())


class Side:
    """An owner, and every receiver of its exchanges: keeps what it hears."""

    def __init__(self, log: list[tuple[str, object]]) -> None:
        self.log = log

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        assert all(one.ended for one in exchanges)
        self.log += [("owner", id(one)) for one in exchanges]

    def exchange(self, *, breaks: bool = False) -> Exchange:
        receiver = Hearer(self.log, breaks=breaks)
        exchange = Exchange(
            request=REQUEST,
            receiver=receiver,
            owner=self,
            inputs=(),
            outputs=(),
            rows=1,
            nbytes=0,
            admitted=0.0,
            deadline=1.0,
        )
        receiver.name = id(exchange)
        return exchange


class Hearer:
    """A receiver that may break while it hands the answer on."""

    def __init__(self, log: list[tuple[str, object]], *, breaks: bool) -> None:
        self.log = log
        self.breaks = breaks
        self.name = 0

    def emit(self, response: InferResponse) -> None:
        raise AssertionError("nothing is answered here")

    def finish(self, error: HoneError | None) -> None:
        self.log.append(("receiver", self.name))
        if self.breaks:
            raise RuntimeError("the connection broke")


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans())))
def test_all_end_once_and_owners_hear_of_it_first(kinds: list[tuple[bool, bool, bool]]) -> None:
    """Whatever ended before, whoever owns it, and whichever receiver breaks."""
    log: list[tuple[str, object]] = []
    owners = Side(log), Side(log)
    exchanges = [owners[second].exchange(breaks=breaks) for second, breaks, _ in kinds]
    with capture_logs() as reported:  # written out, with what every frame holds, they would take a minute
        for exchange, (_, _, before) in zip(exchanges, kinds, strict=True):
            if before:
                exchange.fail(BackendError("earlier"))
        log.clear()
        end_all(exchanges, None)
    assert len(reported) == sum(breaks for _, breaks, _ in kinds)
    assert not any(exchange.finish() for exchange in exchanges)

    left = {id(exchange) for exchange, (_, _, before) in zip(exchanges, kinds, strict=True) if not before}
    told = [name for who, name in log if who == "owner"]
    answered = [name for who, name in log if who == "receiver"]
    assert sorted(map(str, told)) == sorted(map(str, answered)) == sorted(map(str, left))
    assert [who for who, _ in log] == ["owner"] * len(left) + ["receiver"] * len(left)
