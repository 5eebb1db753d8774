"""Whose the bytes are that there are: who was asked and sent none has no part in them."""

import pytest

from apprproxy.core.label import Label
from apprproxy.core.model import Contribution
from apprproxy.gateway.flights.contributors import stretches

ONE, TWO = Label("hub", "mirror-1"), Label("hub")


@pytest.mark.parametrize(
    ("starts", "size", "expected"),
    [
        ([], 0, []),
        ([], 5, []),
        ([(ONE, 0)], 5, [(ONE, 0, 5)]),
        ([(ONE, 0), (TWO, 3)], 5, [(ONE, 0, 3), (TWO, 3, 5)]),
        ([(ONE, 0), (TWO, 5)], 5, [(ONE, 0, 5)]),
        ([(ONE, 0), (TWO, 0)], 5, [(TWO, 0, 5)]),
        ([(ONE, 0), (TWO, 3), (ONE, 4)], 5, [(ONE, 0, 3), (TWO, 3, 4), (ONE, 4, 5)]),
    ],
)
def test_each_ones_bytes_are_told(
    starts: list[tuple[Label, int]], size: int, expected: list[tuple[Label, int, int]]
) -> None:
    parts = [Contribution(label.upstream, label.source, start) for label, start in starts]

    assert expected == list(stretches(parts, size))
