"""Sequences that go on where they began, though another generation of their model takes those that begin now."""

from collections.abc import Sequence

from service.engine.correlation import is_id
from service.engine.servable import Servable
from service.messages import InferRequest


class Succession:
    """Owns which generations of one model may have sequences in progress: `serving`, oldest version first, and
    `departing`.

    A sequence is found by the version that its first step named, or by none if that named none, so that sequences of
    the same name don't meet because a version was loaded or let go.
    """

    def __init__(self, serving: Sequence[Servable], departing: Sequence[Servable]) -> None:
        self._serving = [model for model in serving if model.sequences]
        self._departing = departing
        self._newest = serving[-1] if serving else None

    @property
    def matters(self) -> bool:
        """Whether a sequence may be at another generation than the one that answers for the name."""
        return bool(self._departing) or any(model is not self._newest for model in self._serving)

    def holder(self, request: InferRequest) -> Servable | None:
        """The generation that has the sequence of this request, None where its name and version say which it is.

        A sequence that begins ends the one before it, of the same name, wherever that is.
        """
        name = request.parameters.get("sequence_id")
        if not is_id(name):
            return None
        holding = [
            (model, model.sequences)
            for model in (*self._departing, *self._serving)
            if model.sequences and model.sequences.has(name, request.version)
        ]
        if request.parameters.get("sequence_start", False) is False:
            return holding[-1][0] if holding else None
        for model, sequences in holding:
            if model is not self._heir(request.version):
                sequences.close(name)
        return None

    def _heir(self, version: str | None) -> Servable | None:
        """Who takes sequences that begin now."""
        if version is None:
            return self._newest
        return next((model for model in self._serving if model.version == version), None)
