"""Mixed precision: as many layers as may stay in float for the sake of accuracy, and no more.

Those that suffer most from integers are the first to stay. How many of them is looked for by doubling and then by
bisection, since a trial may mean to evaluate a whole model, and more of them are taken to be no less accurate.
"""

from collections.abc import Callable


def fewest(enough: Callable[[int], bool], *, most_trials: int) -> int | None:
    """The fewest layers kept in float of which that many are `enough`; none at all aren't, it is taken.

    After `most_trials` it is the fewest of those that were tried, None if none was enough.
    """
    too_few, found, kept = 0, None, 1
    for _ in range(most_trials):
        if enough(kept):
            found = kept
        else:
            too_few = kept
        if found is None:
            kept = 2 * too_few
        elif found - too_few > 1:
            kept = (too_few + found) // 2
        else:
            break
    return found
