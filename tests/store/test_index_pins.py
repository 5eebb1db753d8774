"""What is pinned stays, with all that it names, also what arrives later."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apprproxy.core.errors import NoRoom
from apprproxy.core.model import Expected
from apprproxy.store.index.index import DiskIndex
from apprproxy.store.index.membership import Open
from tests.store.contents import UNPACKED
from tests.store.ledgers import Cache, digest_of, names, opened

NAME = "hub/library/alpine:3"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with opened(tmp_path) as cache:
        yield cache


def image(cache: Cache) -> None:
    """An index, a manifest, a layer of 300 bytes that is held, and one that is not."""
    for name, size in (("index", 10), ("manifest", 10), ("layer", 300)):
        cache.put(name, size)
    cache.ledger.membership.link(digest_of("index"), [names("manifest")])
    cache.ledger.membership.link(digest_of("manifest"), [names("layer"), names("late")])


def test_a_pin_covers_the_closure_and_says_what_is_missing(cache: Cache) -> None:
    image(cache)
    cache.ledger.pinned.pin(NAME, digest_of("index"))
    closure = cache.ledger.pinned.closure(NAME)

    assert {str(digest_of(one)) for one in ("index", "manifest", "layer")} == set(closure.held)
    assert (str(digest_of("late")),) == closure.missing
    assert {NAME: digest_of("index")} == cache.ledger.pinned.pins()
    assert 320 == cache.ledger.totals().pinned


def test_what_is_pinned_stays_though_it_is_oldest(cache: Cache) -> None:
    image(cache)
    cache.ledger.pinned.pin(NAME, digest_of("index"))
    cache.put("other", 600)
    cache.put("new", 650)

    assert "index manifest layer new" == cache.holds("index", "manifest", "layer", "other", "new")


def test_what_arrives_later_is_pinned_as_it_arrives(cache: Cache) -> None:
    image(cache)
    cache.ledger.pinned.pin(NAME, digest_of("index"))
    cache.put("late", 100)
    with pytest.raises(NoRoom):
        cache.ledger.reserve("new.part", 600)

    assert 420 == cache.ledger.totals().pinned


def test_what_a_pinned_document_turns_out_to_name_is_pinned(cache: Cache) -> None:
    cache.put("layer", 300)
    cache.ledger.membership.link(digest_of("manifest"), [names("layer")])
    cache.put("index", 10)
    cache.ledger.pinned.pin(NAME, digest_of("index"))
    before = cache.ledger.totals().pinned
    cache.ledger.membership.link(digest_of("index"), [names("manifest")])

    assert (10, 310) == (before, cache.ledger.totals().pinned)


def test_one_more_document_costs_nothing_for_what_its_pin_covers_already(cache: Cache) -> None:
    """A pinned index may have thousands of them, each of which names thousands: the last one would take seconds."""
    cache.ledger.pinned.pin(NAME, digest_of("index"))
    cache.ledger.membership.link(digest_of("index"), [names(f"{one}") for one in range(20)])

    def steps(document: int) -> int:
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        with cache.ledger.database.transaction() as db:
            db.set_progress_handler(step, 100)
        cache.ledger.membership.link(digest_of(f"{document}"), [names(f"{document} of {n}") for n in range(300)])
        with cache.ledger.database.transaction() as db:
            db.set_progress_handler(None, 0)
        return count

    first, *_, last = map(steps, range(20))

    assert last < 2 * first


def test_a_package_is_pinned_through_the_tar_inside(cache: Cache) -> None:
    cache.put("release", 10)
    cache.ledger.membership.link(digest_of("release"), [Expected(unpacked=UNPACKED)])
    cache.ledger.pinned.pin(NAME, digest_of("release"))
    before = cache.ledger.pinned.closure(NAME)
    cache.put("package", 300, UNPACKED)
    after = cache.ledger.pinned.closure(NAME)

    assert [(1, 1), (2, 0)] == [(len(one.held), len(one.missing)) for one in (before, after)]
    assert 310 == cache.ledger.totals().pinned


def test_unpinning_frees_what_no_other_pin_covers(cache: Cache) -> None:
    image(cache)
    cache.ledger.pinned.pin(NAME, digest_of("index"))
    cache.ledger.pinned.pin("hub/other:1", digest_of("manifest"))
    there, again = cache.ledger.pinned.unpin(NAME), cache.ledger.pinned.unpin(NAME)

    assert (True, False) == (there, again)
    assert 310 == cache.ledger.totals().pinned
    cache.ledger.pinned.unpin("hub/other:1")
    assert (0, 0) == (cache.ledger.totals().pinned, cache.rows("pinned"))


async def test_a_pin_goes_along_with_its_name_and_other_names_cost_nothing(cache: Cache, tmp_path: Path) -> None:
    image(cache)
    cache.put("next", 50)
    index = DiskIndex(cache.ledger, cache.told, Open())
    await index.moved_on(NAME, digest_of("index"))
    with opened(tmp_path, cache.clock) as beside:  # `cache pin` while the gateway runs
        beside.ledger.pinned.pin(NAME, digest_of("index"))
    await index.moved_on("hub/library/alpine:4", digest_of("manifest"))
    unmoved = cache.ledger.pinned.pins()
    await index.moved_on(NAME, digest_of("next"))
    await index.close()

    assert {NAME: digest_of("index")} == unmoved
    assert {NAME: digest_of("next")} == cache.ledger.pinned.pins()
    assert 50 == cache.ledger.totals().pinned


def test_pins_outlive_the_process(tmp_path: Path) -> None:
    with opened(tmp_path) as before:
        image(before)
        before.ledger.pinned.pin(NAME, digest_of("index"))
    with opened(tmp_path, before.clock) as after:
        after.put("new", 680)
        held = after.holds("index", "manifest", "layer", "new")

    assert "index manifest layer new" == held
