"""The rules and routes that are deployed, with all of their times divided by the same number."""

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"(\[|\b(?:for|group_wait|group_interval|repeat_interval): )([0-9]+)([smhd])\b")


def shortened(text: str, factor: int) -> str:
    """A file of rules, or Alertmanager's configuration: an hour is an hour's `factor`th part. Names stay as they are,
    so what is recorded as the share of 1h is that of the shorter time.
    """
    return _TIME.sub(lambda time: f"{time[1]}{int(time[2]) * _SECONDS[time[3]] * 1000 // factor}ms", text)
