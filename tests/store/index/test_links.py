"""What documents name is remembered up to a share of the cache, and those that name the most are forgotten first."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from apprproxy.core.model import Expected
from apprproxy.store.index import links
from apprproxy.store.index.index import DiskIndex
from apprproxy.store.index.links import SHARE, Links
from apprproxy.store.index.membership import Open
from tests.fakes.clock import until
from tests.store.ledgers import PUBLIC, Cache, digest_of, names


@pytest.fixture
async def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cache]:
    """One that remembers a hundred links."""
    monkeypatch.setattr(links, "AT_LEAST", 100)
    cache = Cache(tmp_path)
    yield cache
    cache.close()


@pytest.fixture
async def index(cache: Cache) -> AsyncIterator[DiskIndex]:
    index = DiskIndex(cache.ledger, cache.told, Open())
    yield index
    await index.close()


def made_up(document: int, count: int) -> list[Expected]:
    return [names(f"{document} of {number}") for number in range(count)]


def remembered(cache: Cache) -> dict[str, int]:
    """How many of each document."""
    return dict(cache.ledger.database.read("SELECT parent, count(*) FROM links GROUP BY parent"))


async def test_documents_that_name_the_most_are_forgotten_first(index: DiskIndex, cache: Cache) -> None:
    layer = digest_of("layer")
    await index.shown(PUBLIC, str(digest_of("image")))
    await index.link(digest_of("image"), [names("config"), names("layer", 5)])
    for document in range(50):
        await index.link(digest_of(f"evil {document}"), made_up(document, 30))
        await until(lambda: sum(remembered(cache).values()) <= 100)

    assert 2 == remembered(cache)[str(digest_of("image"))]
    assert 5 == await index.stated_size(PUBLIC, str(layer))


async def test_as_much_is_remembered_as_there_is_a_share_for(index: DiskIndex, cache: Cache) -> None:
    for document in range(4):
        await index.link(digest_of(f"index {document}"), made_up(document, 25))

    assert [25] * 4 == list(remembered(cache).values())
    assert (100, 1_000) == (cache.ledger.links.most, Links(cache.ledger.database, 1_000 * SHARE).most)


async def test_several_who_link_without_a_pause_do_not_outrun_what_forgets(
    index: DiskIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That has a part of the time like each of them, and they would fill the disk together."""
    monkeypatch.setattr(links, "STEP", 80)

    async def goes_on(upstream: int) -> int:
        most = 0
        for document in range(15):
            await index.link(digest_of(f"{upstream} {document}"), made_up(document, 40), f"hub{upstream}")
            most = max(most, sum(remembered(cache).values()))
        return most

    assert max(await asyncio.gather(*map(goes_on, range(8)))) <= 3 * cache.ledger.links.most


async def test_what_others_have_linked_is_counted_when_it_is_told(index: DiskIndex, cache: Cache) -> None:
    """As who tells anew, in a thread of its own, what all that is held names."""
    await index.link(digest_of("image"), made_up(0, 5))
    for document in range(1, 10):
        cache.ledger.membership.link(digest_of(f"evil {document}"), made_up(document, 30))
    index.linked_beside()
    await until(lambda: sum(remembered(cache).values()) <= 100)

    assert 5 == remembered(cache)[str(digest_of("image"))]


async def test_what_a_pin_covers_is_not_forgotten(index: DiskIndex, cache: Cache) -> None:
    cache.ledger.pinned.pin("hub/library/app:1.0", digest_of("pinned"))
    await index.link(digest_of("pinned"), made_up(0, 60))
    for document in range(1, 10):
        await index.link(digest_of(f"evil {document}"), made_up(document, 30))

    await until(lambda: sum(remembered(cache).values()) <= 60 + 100)

    assert 60 == remembered(cache)[str(digest_of("pinned"))]


async def test_however_much_pins_cover_others_documents_are_remembered(
    index: DiskIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may push to a pinned name would have all others' forgotten, and all looked at for each that comes."""
    cache.ledger.pinned.pin("hub/library/app:1.0", digest_of("pinned"))
    await index.link(digest_of("pinned"), made_up(0, 500))
    looks = Mock(wraps=cache.ledger.database.read_long)
    monkeypatch.setattr(cache.ledger.database, "read_long", looks)
    for document in range(1, 46):
        await index.link(digest_of(f"image {document}"), made_up(document, 2))

    assert [500, *[2] * 45] == sorted(remembered(cache).values(), reverse=True)
    assert 0 == looks.call_count


def test_what_is_too_much_is_forgotten_in_steps(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a gigabyte of links takes seconds, and others wait to write."""
    monkeypatch.setattr(links, "STEP", 20)
    for document in range(10):
        cache.ledger.membership.link(digest_of(str(document)), made_up(document, 30))
    due = [cache.ledger.links.came(300), cache.ledger.links.came(1)]
    left = [300]
    while not cache.ledger.links.forget_some():
        left.append(cache.rows("links"))

    assert [True, False] == due, "it is told once that there is something to do"
    assert [*range(300, 87, -20), 87] == left


def test_of_what_was_pinned_meanwhile_nothing_is_forgotten(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "STEP", 5)
    for document in range(4):
        cache.ledger.membership.link(digest_of(str(document)), made_up(document, 30))
    cache.ledger.links.came(120)
    cache.ledger.links.forget_some()
    for document in range(4):
        cache.ledger.pinned.pin(f"hub/library/app:{document}", digest_of(str(document)))
    while not cache.ledger.links.forget_some():
        pass

    assert 120 - 5 == cache.rows("links")


def test_what_was_forgotten_in_part_is_linked_again(cache: Cache) -> None:
    cache.ledger.membership.link(digest_of("large"), made_up(0, 110))
    cache.ledger.links.came(110)
    while not cache.ledger.links.forget_some():
        pass
    left = cache.rows("links")
    cache.ledger.membership.link(digest_of("large"), made_up(0, 110))

    assert (87, 110) == (left, cache.rows("links"))


def test_whoever_only_asks_has_the_index_while_all_links_are_looked_at(cache: Cache) -> None:
    """There may be millions of them."""
    for document in range(10):
        cache.ledger.membership.link(digest_of(str(document)), made_up(document, 30))

    def all_are_looked_at() -> None:
        cache.ledger.links.came(300)
        cache.ledger.links.forget_some()

    looking = threading.Thread(target=all_are_looked_at)
    with cache.ledger.database._reading:
        looking.start()
        looking.join(5)
        waited = looking.is_alive()
    looking.join(5)

    assert (False, 87) == (waited, cache.rows("links"))
