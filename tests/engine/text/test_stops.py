"""Texts that end a text."""

from hypothesis import given
from hypothesis import strategies as st

from service.engine.text.stops import Stops

_PIECES = st.lists(st.text("ab", max_size=3), max_size=12)
_STOPS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


def test_nothing_of_a_stop_is_given_out() -> None:
    """Though it comes in pieces; what only looked like one is given out late."""
    stops = Stops(["<end>"])
    assert ["ab", "", "<enough", ""] == [stops.add(piece) for piece in ("ab<", "en", "ough<e", "nd>more")]
    assert stops.reached
    assert "" == stops.add("more")


@given(_PIECES, _STOPS)
def test_all_before_the_first_stop_is_given_out(pieces: list[str], stops: list[str]) -> None:
    """As early as it can be known, however the text is cut."""
    whole, held = "".join(pieces), Stops(stops)
    given_out = "".join(held.add(piece) for piece in pieces)
    places = [whole.find(stop) for stop in stops if stop in whole]

    assert bool(places) == held.reached
    if places:
        assert whole.startswith(given_out)
        assert not any(stop in given_out for stop in stops)
    else:
        assert whole == given_out + held.rest()
