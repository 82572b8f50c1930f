from pathlib import Path

from service.trace_file import TraceFile
from service.tracing import ALL, TraceControl, TraceSettings

ON = TraceSettings(level="TIMESTAMPS", rate=1)


def control(settings: TraceSettings = ON) -> TraceControl:
    """One whose traces are never written, since none of them ends."""
    return TraceControl(TraceFile(Path("nowhere/trace.json"), 1024), settings)


def sampled(traces: TraceControl, count: int, model: str = "m") -> list[bool]:
    """Of so many requests, which are traced."""
    return [traces.sample(model) is not None for _ in range(count)]


def test_one_in_so_many_is_traced() -> None:
    """The last of each group, until the count is spent, which is told as what is left of it."""
    traces = control(TraceSettings(level="TIMESTAMPS", rate=3, count=2))
    assert [False, False, True] * 2 + [False] * 6 == sampled(traces, 12)
    assert 0 == traces.settings().count

    traces.change(ALL, {"count": 1, "rate": 1})
    assert [True, False] == sampled(traces, 2)


def test_nothing_is_traced_that_is_off_or_has_no_file() -> None:
    """`on` says so at once, and tells of any model that is on."""
    traces, on = control(TraceSettings()), []
    for level in (None, "TIMESTAMPS", None):
        traces.change("m", {"level": level, "rate": 1})
        on.append(traces.on)
        assert [bool(level)] == sampled(traces, 1)
        assert [False] == sampled(traces, 1, "other")

    assert [False, True, False] == on
    assert not TraceControl().on
    assert not TraceControl(None, ON).on


def test_what_a_model_does_not_set_is_what_holds_for_all() -> None:
    """And what isn't set for all is what held at the start; taking back falls through."""
    traces = control(TraceSettings(level="TIMESTAMPS", rate=7, log_frequency=5))
    traces.change("m", {"rate": 12})
    traces.change(ALL, {"rate": 56, "count": 78, "level": "OFF"})

    assert TraceSettings(level="OFF", rate=12, count=78, log_frequency=5) == traces.settings("m")
    assert TraceSettings(level="OFF", rate=56, count=78, log_frequency=5) == traces.settings("other")
    traces.change(ALL, {"rate": None, "count": None})
    assert TraceSettings(level="OFF", rate=7, log_frequency=5) == traces.settings()
    assert TraceSettings(level="OFF", rate=12, log_frequency=5) == traces.settings("m")
    traces.change("m", {"rate": None})
    assert traces.settings() == traces.settings("m")


def test_a_change_elsewhere_leaves_counts_alone() -> None:
    """What is left of a count is left until that count is set anew, and so is the place within a group."""
    traces = control(TraceSettings(level="TIMESTAMPS", rate=2, count=5))
    traces.change("m", {"count": 9})
    sampled(traces, 5)
    sampled(traces, 3, "other")
    traces.change("another", {"rate": 100})

    assert (7, 4) == (traces.settings("m").count, traces.settings("other").count)
    assert [True] == sampled(traces, 1)
    traces.change(ALL, {"log_frequency": 3})
    assert (6, 4) == (traces.settings("m").count, traces.settings("other").count)
    traces.change(ALL, {"count": 5})
    assert (6, 5) == (traces.settings("m").count, traces.settings("other").count)
