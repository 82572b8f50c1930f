"""The expressions that several dashboards ask Prometheus for."""

MODEL = 'model=~"$model"'
"""What the variable `model` of a dashboard selects."""
BROKEN = 'outcome=~"error|rejected|deadline"'
"""Requests that broke the promise to be available."""
COUNTED = 'outcome!~"client_error|cancelled"'
"""Requests that the promise is about: neither wrong nor given up by the client."""
RANGE = "$__range"
"""All that is looked at, for numbers that don't run over time."""
RECENT = "$__rate_interval"
"""Four scrapes at least, more where less is looked at closely."""


def rate(metric: str, *labels: str, by: str = "", over: str = RECENT) -> str:
    """Events a second of a counter, added up, or by some labels."""
    return f"sum{_by(by)} (rate({metric}{{{', '.join([MODEL, *labels])}}}[{over}]))"


def ratio(part: str, whole: str) -> str:
    """None where the whole is nothing."""
    return f"{part} / ({whole} > 0)"


def mean(histogram: str, *labels: str, by: str = "") -> str:
    """The mean of what a histogram has observed lately."""
    return ratio(*(rate(f"{histogram}_{which}", *labels, by=by) for which in ("sum", "count")))


def quantile(share: float, histogram: str, *, by: str = "", over: str = RECENT) -> str:
    """What so large a share of the observations was below."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', by=labels, over=over)})"


def availability() -> str:
    """The share of the requests in the range that is looked at that didn't break the promise; none without requests."""
    return f"1 - {ratio(*(rate('hone_requests_total', which, over=RANGE) for which in (BROKEN, COUNTED)))}"


def burn(promise: str, window: str) -> str:
    """How fast the worst model uses up what may break a promise: at 1 all of it is gone after 30 days."""
    return f"max({_spent(promise, window)})"


def budget_left(promise: str) -> str:
    """By model, the share of what may break a promise in 30 days that hasn't."""
    return f"1 - {_spent(promise, '30d')}"


def none_yet(expression: str, label: str) -> str:
    """Zero where there is nothing to count by `label`: as long as Hone is scraped, that is true."""
    return f'{expression} or on () label_replace(0 * max(hone_build_info), "{label}", "none", "", "")'


def _spent(promise: str, window: str) -> str:
    """As `deploy/prometheus/rules` records it."""
    return f"hone:slo_{promise}:ratio_rate{window}{{{MODEL}}} / on () group_left () hone:slo_{promise}:budget"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
