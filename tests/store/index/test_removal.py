"""Blobs that an operator takes out, and lists of what is held."""

from pathlib import Path

import pytest

from apprproxy.core.model import Where
from apprproxy.store.index import links
from apprproxy.store.index.evict import Totals
from apprproxy.store.index.holdings import Asked, Holdings
from apprproxy.store.index.membership import Open
from apprproxy.store.index.removal import Removal, Removed
from tests.store.contents import UNPACKED
from tests.store.ledgers import Cache, digest_of, names, opened

HUB = Where("hub-0123456789ab", "library/app")


def removal_of(cache: Cache) -> Removal:
    return Removal(cache.root, cache.ledger.database, cache.ledger.generation)


def test_a_blob_goes_with_its_file_its_link_and_its_count(tmp_path: Path) -> None:
    with opened(tmp_path) as cache:
        digest, before = cache.put("package", 200, UNPACKED), cache.ledger.generation.read()
        removed = removal_of(cache).remove([str(digest)])
        links, totals = list((tmp_path / "unpacked" / "sha256").iterdir()), cache.ledger.totals()

        assert (Removed(1, 200), [], Totals(0, 0, 0, 0)) == (removed, links, totals)
        assert not cache.file(digest).exists()
        assert before != cache.ledger.generation.read()


def test_documents_that_name_thousands_go_in_several_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running gateways wait meanwhile."""
    monkeypatch.setattr(links, "GONE", 10)
    with opened(tmp_path) as cache:
        documents = [cache.put(f"{document}", 100) for document in range(5)]
        for document in documents:
            cache.ledger.membership.link(document, [names(f"{document} of {n}") for n in range(7)])
        cache.ledger.membership.link(digest_of("0"), [names(f"more {n}") for n in range(32)])
        gone = cache.links_go(monkeypatch)
        removed = removal_of(cache).remove([*map(str, documents)])

        assert Removed(5, 500) == removed
        assert (67, 10) == (sum(gone), max(gone))


def test_what_is_being_committed_is_let_be(tmp_path: Path) -> None:
    with opened(tmp_path) as cache:
        (tmp_path / "ingest" / "a.part").write_bytes(b"x" * 10)
        cache.ledger.keep("a.part", digest_of("a"), 10, None)
        removed = removal_of(cache).remove([str(digest_of("a"))])

        assert (Removed(), 1) == (removed, cache.ledger.totals().blobs)


def test_a_file_that_nobody_counted_goes_as_well(tmp_path: Path) -> None:
    with opened(tmp_path) as cache:
        cache.file(digest_of("a")).write_bytes(b"x" * 10)
        removed = removal_of(cache).remove([str(digest_of("a")), str(digest_of("b"))])

        assert (Removed(1, 10), Totals(0, 0, 0, 0)) == (removed, cache.ledger.totals())


def test_an_upstream_that_is_hidden_shows_nothing_and_its_namesake_does(tmp_path: Path) -> None:
    longer = Where("hub-two-0123456789ab", "library/app")
    with opened(tmp_path) as cache:
        key = str(cache.put("a", 10))
        for where in (HUB, longer):
            cache.ledger.membership.shown(where, key, "owner")
        removal_of(cache).hide("hub")
        shown = [cache.ledger.membership.shows(where, key, Open()) for where in (HUB, longer)]

    assert [False, True] == shown


@pytest.mark.parametrize("limit", [None, 1500, 1])
def test_a_long_list_comes_in_order_and_in_pages(limit: int | None, tmp_path: Path) -> None:
    with opened(tmp_path, cap=10**9) as cache:
        with cache.ledger.database.transaction() as db:
            rows = [(str(digest_of(str(size))), size, size) for size in range(2500)]
            db.executemany("INSERT INTO blobs (key, size, used) VALUES (?, ?, ?)", rows)
        listed = [blob.size for blob in Holdings(cache.ledger.database).listed(Asked(order="size", limit=limit))]

    assert list(range(2499, -1, -1))[:limit] == listed


def test_what_goes_while_it_is_listed_is_passed_over(tmp_path: Path) -> None:
    with opened(tmp_path) as cache:
        for name, size in (("a", 30), ("b", 20)):
            cache.put(name, size)
        listing = Holdings(cache.ledger.database).listed(Asked(order="size"))
        first = next(listing)
        removal_of(cache).remove([str(digest_of("b"))])
        rest = list(listing)
        tables = cache.ledger.database.read("SELECT name FROM temp.sqlite_master WHERE type = 'table'")

    assert (30, True, []) == (first.size, len(rest) <= 1, tables)
