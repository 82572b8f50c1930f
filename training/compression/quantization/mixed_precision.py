"""Mixed precision: as many layers as may stay in float for the sake of accuracy, and no more.

Those that suffer most from integers are the first to stay. How many of them is looked for by doubling and then by
bisection, since a trial may mean to evaluate a whole model, and more of them are taken to be no less accurate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.compression.quantization.quantized import Quantized


@dataclass(frozen=True, kw_only=True)
class Trial:
    """That many of the most sensitive nodes were kept in float; were the answers `accurate` enough?"""

    kept: int
    accurate: bool


@dataclass(frozen=True, kw_only=True)
class MixedPrecision:
    """What was found: the file, the nodes kept in float for accuracy's sake, and all that was tried.

    Unless it is `accurate` enough, it is the nearest miss: that with the most nodes in float of those tried.
    """

    quantized: Quantized
    kept: tuple[str, ...]
    accurate: bool
    trials: tuple[Trial, ...]


def mixed_precision(
    quantize: Callable[[Sequence[str]], Quantized],
    order: Sequence[str],
    accurate: Callable[[Path], bool],
    *,
    most_trials: int = 8,
) -> MixedPrecision:
    """Keep the fewest of the nodes in `order`, the most sensitive first, in float for which a file is `accurate`.

    `quantize` writes a file with the named nodes in float, always to the same path. After `most_trials`, at least one,
    the best so far is the result. At least one node of the order is quantized. Raises ValueError without any of either.
    """
    if most_trials < 1 or not order:
        raise ValueError("mixed precision needs at least one node to choose from, and one trial")
    trials: list[Trial] = []
    written = -1
    quantized: Quantized

    def attempt(kept: int) -> bool:
        nonlocal quantized, written
        quantized, written = quantize(order[:kept]), kept
        trials.append(Trial(kept=kept, accurate=accurate(quantized.model)))
        return trials[-1].accurate

    most = len(order) - 1
    too_few, enough = -1, None
    while len(trials) < most_trials:
        if enough is None:
            kept = 0 if too_few < 0 else min(max(1, 2 * too_few), most)
            if kept == too_few:
                break
        elif enough - too_few > 1:
            kept = (too_few + enough) // 2
        else:
            break
        if attempt(kept):
            enough = kept
        else:
            too_few = kept
    chosen = too_few if enough is None else enough
    if written != chosen:
        quantized = quantize(order[:chosen])
    return MixedPrecision(
        quantized=quantized, kept=tuple(order[:chosen]), accurate=enough is not None, trials=tuple(trials)
    )
