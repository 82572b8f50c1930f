"""Metrics: what a whole test part says of a model, one task a file, every figure with its 95 % interval.

Each file has a function `measure` from predictions and targets to a frozen dataclass of figures. Intervals are drawn
over sources (`training/statistics.py`); what can't be said of a test part is refused (`Immeasurable`), never a NaN.
"""
