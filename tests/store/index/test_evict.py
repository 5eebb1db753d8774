"""What goes first is arithmetic over rows in order."""

from hypothesis import given
from hypothesis import strategies as st

from apprproxy.store.index.evict import Evictable, Totals, first_to_go, missing

candidates = st.lists(st.integers(0, 100), max_size=30).map(
    lambda sizes: [Evictable(str(i), s) for i, s in enumerate(sizes)]
)


@given(candidates, st.integers(-5, 2000), st.integers(1, 40))
def test_the_shortest_run_from_the_front_that_frees_enough_goes(
    rows: list[Evictable], short: int, at_most: int
) -> None:
    chosen = first_to_go(iter(rows), short, at_most)

    assert rows[: len(chosen)] == chosen
    assert sum(row.size for row in chosen[:-1]) < max(short, 1)
    assert len(chosen) in (at_most, len(rows)) or sum(row.size for row in chosen) >= short


def test_no_more_is_read_than_goes() -> None:
    rows = iter([Evictable("a", 5), Evictable("b", 5), Evictable("c", 5)])
    first_to_go(rows, 10, 100)

    assert "c" == next(rows).key


def test_what_fits_misses_nothing_and_what_does_not_misses_the_rest() -> None:
    totals = Totals(2, held=60, pinned=10, reserved=30)

    assert 0 == missing(totals, 10, cap=100)
    assert 50 == missing(totals, 60, cap=100)


def test_what_is_pinned_or_arriving_cannot_be_evicted() -> None:
    assert 50 == Totals(2, held=60, pinned=10, reserved=30).evictable
