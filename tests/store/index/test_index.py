"""Who may see what: names open nothing on their own, and what one account may see another may not."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.label import CLAIMED
from apprproxy.core.model import Expected, Where
from apprproxy.core.ports.store import Index
from apprproxy.store.index import membership
from apprproxy.store.index.below import BELOW, STEPS, WIDTH
from apprproxy.store.index.index import DiskIndex
from apprproxy.store.index.membership import Open, Origin
from apprproxy.store.index.uses import EVERY, MANY
from apprproxy.store.rounds import PIECE
from tests.fakes.clock import START, until
from tests.store.contents import UNPACKED
from tests.store.ledgers import PRIVATE, PUBLIC, STRANGER, Cache, digest_of, names

SECRET = digest_of("secret")
KEY = str(SECRET)


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    cache = Cache(tmp_path)
    yield cache
    cache.close()


@pytest.fixture
async def index(cache: Cache) -> AsyncIterator[DiskIndex]:
    index = DiskIndex(cache.ledger, cache.told, Open())
    yield index
    await index.close()


@pytest.fixture
async def beside(index: DiskIndex, cache: Cache) -> AsyncIterator[DiskIndex]:
    """As another process has it."""
    other = Cache(cache.root, cache.clock)
    beside = DiskIndex(other.ledger, other.told, Open())
    yield beside
    await beside.close()
    other.close()


def test_it_is_the_port(index: DiskIndex) -> None:
    port: Index = index

    assert port is index


async def test_a_repository_shows_what_came_through_it_and_no_other_does(index: DiskIndex, beside: DiskIndex) -> None:
    await index.shown(PRIVATE, KEY, "owner")

    assert (True, False) == (await index.shows(PRIVATE, KEY), await index.shows(STRANGER, KEY))
    assert (True, False) == (await beside.shows(PRIVATE, KEY), await beside.shows(STRANGER, KEY))


async def test_what_an_owner_confirmed_is_shown(index: DiskIndex, beside: DiskIndex) -> None:
    await index.shown(PUBLIC, KEY)

    assert await beside.shows(PUBLIC, KEY)


async def test_another_account_at_the_same_place_sees_nothing(index: DiskIndex) -> None:
    manifest = digest_of("manifest")
    await index.shown(PRIVATE, KEY, "owner")
    other = Where("hub as bot", PRIVATE.repository)
    await index.shown(other, str(manifest), "owner")
    await index.link(manifest, [names("secret", 7)])

    assert not await index.shows(other, KEY), "the bytes came from what another account saw"


async def test_a_strangers_index_that_names_a_private_digest_opens_nothing(index: DiskIndex) -> None:
    elsewhere = Where("elsewhere as nobody", "mallory/index")
    document = digest_of("the stranger's index")
    await index.shown(PRIVATE, KEY, "owner")
    await index.shown(elsewhere, str(document), "owner")
    await index.link(document, [names("secret")])

    assert not await index.shows(elsewhere, KEY)


async def test_a_manifest_opens_nothing_that_its_owner_only_confirmed(index: DiskIndex) -> None:
    """HEAD says that it is there for one repository; no byte came by which this account could be judged."""
    document = digest_of("the stranger's index")
    await index.shown(PRIVATE, KEY)
    await index.shown(STRANGER, str(document), "owner")
    await index.link(document, [names("secret")])

    assert not await index.shows(STRANGER, KEY)


async def test_a_manifest_that_its_repository_may_not_show_opens_nothing(index: DiskIndex) -> None:
    document = digest_of("manifest")
    await index.shown(PRIVATE, KEY, "owner")
    await index.shown(PRIVATE, str(document), "owner")
    await index.link(document, [names("secret")])

    assert not await index.shows(STRANGER, KEY)


async def test_a_manifest_shows_what_it_names_if_the_bytes_came_from_its_upstream(index: DiskIndex) -> None:
    document = digest_of("manifest")
    await index.shown(PRIVATE, KEY, "mirror-1")
    await index.shown(PUBLIC, str(document), "owner")
    before = await index.shows(PUBLIC, KEY)
    await index.link(document, [names("secret")])

    assert (False, True) == (before, await index.shows(PUBLIC, KEY))


async def test_a_link_of_a_link_opens_nothing(index: DiskIndex) -> None:
    outer, inner = digest_of("index"), digest_of("manifest")
    await index.shown(PRIVATE, KEY, "owner")
    await index.shown(PUBLIC, str(outer), "owner")
    await index.link(outer, [names("manifest")])
    await index.link(inner, [names("secret")])

    assert not await index.shows(PUBLIC, KEY)


async def test_what_was_evicted_has_to_be_asked_for_again(index: DiskIndex, cache: Cache, beside: DiskIndex) -> None:
    cache.put("secret", 300)
    await index.shown(PRIVATE, KEY, "owner")
    cache.ledger.reserve("new.part", 900)

    assert not await beside.shows(PRIVATE, KEY)


async def test_a_claim_takes_nothing_back(index: DiskIndex, beside: DiskIndex) -> None:
    """As another process hears it, which does not know yet that the bytes have come."""
    await index.shown(PRIVATE, KEY, "owner")
    await beside.shown(PRIVATE, KEY, CLAIMED)

    assert await beside.shows(PRIVATE, KEY)


async def test_a_lock_file_s_word_is_more_than_a_claim(index: DiskIndex, beside: DiskIndex) -> None:
    await index.shown(PRIVATE, KEY, CLAIMED)
    claimed = await index.shows(PRIVATE, KEY)
    await index.shown(PRIVATE, KEY)

    assert (False, True) == (claimed, await beside.shows(PRIVATE, KEY))


async def test_what_was_sent_may_be_shown_though_it_cannot_be_written_down(
    index: DiskIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would be sent again for everybody who asks, for as long as the disk is full."""

    def full(*_: object) -> None:
        raise StoreFailed("no space left")

    monkeypatch.setattr(cache.ledger.membership, "shown", full)
    for where, source in ((PRIVATE, "owner"), (STRANGER, CLAIMED)):
        with pytest.raises(StoreFailed):
            await index.shown(where, KEY, source)

    assert (True, False) == (await index.shows(PRIVATE, KEY), await index.shows(STRANGER, KEY))


async def test_a_memory_of_what_may_be_shown_ends_with_the_generation(index: DiskIndex, cache: Cache) -> None:
    cache.put("secret", 300)
    await index.shown(PRIVATE, KEY, "owner")
    with cache.ledger.database.transaction() as db:
        db.execute("DELETE FROM blobs")
    remembered = await index.shows(PRIVATE, KEY)
    cache.ledger.generation.bump()

    assert (True, False) == (remembered, await index.shows(PRIVATE, KEY))


async def test_a_confirmation_does_not_hide_where_the_bytes_came_from(index: DiskIndex, cache: Cache) -> None:
    await index.shown(PRIVATE, KEY, "mirror-1")
    cache.clock.advance(5)
    cache.ledger.generation.bump()
    await index.shown(PRIVATE, KEY)
    await index.shown(STRANGER, KEY, CLAIMED)

    assert [
        Origin(PRIVATE, ("mirror-1",), START + 5),
        Origin(STRANGER, (), START + 5),
    ] == cache.ledger.membership.provenance(SECRET)


async def test_a_package_tells_where_it_came_from_by_either_digest(index: DiskIndex, cache: Cache) -> None:
    digest = cache.put("package", 30, UNPACKED)
    await index.shown(PUBLIC, f"unpacked:{UNPACKED}", "owner")

    assert [Origin(PUBLIC, ("owner",), cache.clock())] == cache.ledger.membership.provenance(digest)
    assert await index.shows(PUBLIC, Expected(unpacked=UNPACKED).key)


# --- sizes


async def test_a_size_is_what_the_manifests_of_the_place_say(index: DiskIndex) -> None:
    document = digest_of("manifest")
    await index.shown(PUBLIC, str(document), "owner")
    await index.link(document, [names("secret", 7), names("other")])

    assert (7, None) == (await index.stated_size(PUBLIC, KEY), await index.stated_size(STRANGER, KEY))
    assert None is await index.stated_size(PUBLIC, str(digest_of("other")))


async def test_nor_does_a_document_state_one_where_its_owner_only_said_that_it_has_it(index: DiskIndex) -> None:
    """It may be another's, which a client must not be told of."""
    document = digest_of("manifest")
    await index.shown(PRIVATE, str(document), "owner")
    await index.shown(STRANGER, str(document), CLAIMED)
    await index.link(document, [names("secret", 7)])

    assert (7, None) == (await index.stated_size(PRIVATE, KEY), await index.stated_size(STRANGER, KEY))


@pytest.mark.parametrize("apart", [True, False])
async def test_sizes_that_contradict_each_other_are_no_size(apart: bool, index: DiskIndex) -> None:
    one, two = digest_of("one"), digest_of("two")
    for document in (one, two):
        await index.shown(PUBLIC, str(document), "owner")
    if apart:
        await index.link(one, [names("secret", 7)])
        await index.link(two, [names("secret", 8)])
    else:
        await index.link(one, [names("secret", 7), names("secret", 8), names("secret")])

    assert None is await index.stated_size(PUBLIC, KEY)


@pytest.mark.parametrize("size", [-1, 2**63, 10**40])
async def test_a_size_that_cannot_be_is_none(size: int, index: DiskIndex) -> None:
    document = digest_of("manifest")
    await index.shown(PUBLIC, str(document), "owner")
    await index.link(document, [names("secret", size)])

    assert None is await index.stated_size(PUBLIC, KEY)


# --- bounds


async def test_what_is_known_of_bytes_that_are_not_held_is_bounded(
    index: DiskIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "LOOSE", 10)
    cache.put("held", 10)
    await index.shown(PUBLIC, str(digest_of("held")), "owner")
    for number in range(30):
        await index.shown(PUBLIC, str(digest_of(str(number))))
        await index.link(digest_of(f"document {number}"), [names("child", 1)])

    assert cache.rows("loose") == 10
    assert 5 + 1 == cache.rows("members")
    assert 5 == cache.rows("links")
    assert await index.shows(PUBLIC, str(digest_of("held")))


async def test_a_digest_is_remembered_in_so_many_repositories(
    index: DiskIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "PLACES", 3)
    for number in range(6):
        cache.clock.advance(1)
        await index.shown(Where("hub", f"mallory/{number}"), KEY, "owner")

    assert ["mallory/3", "mallory/4", "mallory/5"] == [
        origin.where.repository for origin in cache.ledger.membership.provenance(SECRET)
    ]


async def test_claims_leave_where_it_came_from_in_its_place(
    index: DiskIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or whoever says that it has all could have others transfer everything again."""
    monkeypatch.setattr(membership, "PLACES", 3)
    await index.shown(PRIVATE, KEY, "owner")
    for number in range(6):
        cache.clock.advance(1)
        await index.shown(Where("hub", f"mallory/{number}"), KEY, CLAIMED)
    cache.ledger.generation.bump()

    assert await index.shows(PRIVATE, KEY)


async def test_what_one_upstream_sends_in_many_names_leaves_where_another_sent_it(
    index: DiskIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As anybody can with what is public: while that other is away, nobody could be asked for it any more."""
    monkeypatch.setattr(membership, "PLACES", 3)
    await index.shown(PUBLIC, KEY, "owner")
    for number in range(6):
        cache.clock.advance(1)
        await index.shown(Where("evil as nobody", f"mallory/{number}"), KEY, "owner")
    cache.ledger.generation.bump()

    assert await index.shows(PUBLIC, KEY)
    assert 1 + 3 == cache.rows("members")


async def test_a_document_that_names_everything_is_remembered_in_part(index: DiskIndex, cache: Cache) -> None:
    await index.link(digest_of("manifest"), [names(str(number)) for number in range(WIDTH + 50)])

    assert WIDTH == cache.rows("links")


async def test_documents_that_name_thousands_hold_up_no_other_upstream(index: DiskIndex, cache: Cache) -> None:
    evil = [index.link(digest_of(one), [names(f"{one}{n}") for n in range(4 * PIECE)], "evil") for one in "abcdefgh"]
    linking = [asyncio.create_task(one) for one in evil]
    await asyncio.sleep(0)
    await index.shown(PUBLIC, KEY)
    await index.link(digest_of("manifest"), [names("layer")], "hub")
    written = cache.rows("links")
    await asyncio.gather(*linking)

    assert written <= 8 * PIECE + 1, "and not all 32"
    assert 32 * PIECE + 1 == cache.rows("links")


# --- what was linked in part


def whole(count: int) -> list[Expected]:
    return [names(str(number)) for number in range(count)]


def in_part(cache: Cache, parent: Digest, children: list[Expected]) -> None:
    """As a process leaves it that is killed."""
    first, *rest = cache.ledger.membership.unlinked(parent, children)
    cache.ledger.membership.link_some(first)
    assert rest


async def test_a_document_that_was_linked_in_part_is_linked_again(index: DiskIndex, cache: Cache) -> None:
    parent, children = digest_of("manifest"), whole(2 * PIECE + 1)
    in_part(cache, parent, children)
    before = cache.rows("links")
    await index.link(parent, children)

    assert (PIECE, 2 * PIECE + 1) == (before, cache.rows("links"))
    assert [] == cache.ledger.membership.unlinked(parent, children)


async def test_a_pin_covers_all_of_a_document_that_was_linked_in_part_before(index: DiskIndex, cache: Cache) -> None:
    parent, children = digest_of("manifest"), whole(2 * PIECE)
    cache.put(str(2 * PIECE - 1), 10)
    in_part(cache, parent, children)
    cache.ledger.pinned.pin("hub/library/app:1.0", parent)
    await index.link(parent, children)
    closure = cache.ledger.pinned.closure("hub/library/app:1.0")

    assert 2 * PIECE + 1 == len(closure.held) + len(closure.missing)
    assert (str(digest_of(str(2 * PIECE - 1))),) == closure.held
    assert 10 == cache.ledger.totals().pinned


async def test_what_was_begun_to_be_linked_is_linked_though_nobody_waits(index: DiskIndex, cache: Cache) -> None:
    linking = asyncio.create_task(index.link(digest_of("manifest"), whole(3 * PIECE)))
    await until(lambda: cache.rows("links") > 0)
    linking.cancel()
    await index.close()

    assert 3 * PIECE == cache.rows("links")


# --- uses


async def test_a_use_is_written_once_it_is_due_and_not_before(index: DiskIndex, cache: Cache) -> None:
    cache.put("a", 10)
    first = cache.clock()
    cache.clock.advance(EVERY - 2)
    index.used(digest_of("a"))
    early = [blob.used for blob in cache.ledger.blobs()]
    cache.clock.advance(EVERY)
    index.used(digest_of("a"))
    await until(lambda: [cache.clock()] == [blob.used for blob in cache.ledger.blobs()])

    assert [first] == early


async def test_many_uses_are_written_at_once(index: DiskIndex, cache: Cache) -> None:
    cache.put("a", 10)
    cache.ledger.write_uses()
    cache.clock.advance(1)
    for number in range(MANY - 1):
        index.used(digest_of(str(number)))
    index.used(digest_of("a"))
    await until(lambda: [cache.clock()] == [blob.used for blob in cache.ledger.blobs()])


async def test_uses_are_written_at_the_end(cache: Cache) -> None:
    index = DiskIndex(cache.ledger, cache.told, Open())
    cache.put("a", 10)
    cache.clock.advance(1)
    index.used(digest_of("a"))
    await index.close()

    assert [cache.clock()] == [blob.used for blob in cache.ledger.blobs()]


async def test_documents_that_all_name_the_same_are_followed_so_far_and_no_further(cache: Cache) -> None:
    """By a million links they lead to few keys, and whoever writes a use waits until all of them have been followed."""
    documents = [digest_of(f"document {number}") for number in range(50)]
    shared = [names(f"shared {number}") for number in range(STEPS // 40)]
    for number, document in enumerate(documents):
        cache.ledger.membership.link(document, [names(f"its own {number}"), *shared])
        cache.put(f"its own {number}", 1)
        cache.put(f"document {number}", 1)
    cache.ledger.membership.link(digest_of("index"), [Expected(document) for document in documents])
    cache.put("shared 1", 1)
    written = cache.clock()
    cache.clock.advance(60)
    cache.ledger.uses.add(digest_of("index"))
    cache.ledger.write_uses()
    used = {blob.digest for blob in cache.ledger.blobs() if blob.used > written + 10}

    assert used >= {digest_of("shared 1"), *documents}  # what it names itself is never passed over
    assert len(used) < len(documents) * 2 + 1


async def test_long_documents_to_which_many_ways_lead_are_not_read_once_for_each(cache: Cache) -> None:
    """A thousand ways to documents that name ten thousand held the index, and everybody's cold pulls, for a minute."""
    ways = [digest_of(f"way {number}") for number in range(100)]
    long = [digest_of(f"long {number}") for number in range(10)]
    for document in long:
        cache.ledger.membership.link(document, [names(f"{document} {number}") for number in range(2000)])
    for way in ways:
        cache.ledger.membership.link(way, [Expected(document) for document in long])
    cache.ledger.membership.link(digest_of("index"), [Expected(way) for way in ways])
    thousands: list[None] = []
    with closing(sqlite3.connect(cache.root / "index.db")) as db:
        db.set_progress_handler(lambda: thousands.append(None), 1000)
        db.execute(f"{BELOW} SELECT count(*) FROM below", {"root": str(digest_of("index"))}).fetchall()

    assert len(thousands) < STEPS // 5  # two hundred steps of sqlite's for each that is followed


async def test_what_may_be_shown_is_known_before_it_is_written_down(
    index: DiskIndex, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client has the bytes by then, and the next that asks is not to wait for the disk."""
    may_write, written = threading.Event(), cache.ledger.membership.shown

    def late(where: Where, key: str, source: str) -> None:
        assert may_write.wait(10)
        written(where, key, source)

    monkeypatch.setattr(cache.ledger.membership, "shown", late)
    told = [
        asyncio.create_task(index.shown(where, KEY, source))
        for where, source in ((PUBLIC, "owner"), (STRANGER, CLAIMED))
    ]
    await asyncio.sleep(0)
    seen = [await index.shows(where, KEY) for where in (PUBLIC, STRANGER)]
    may_write.set()
    await asyncio.gather(*told)

    assert [True, False] == seen


async def test_an_index_that_fails_is_told_as_such(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    index = DiskIndex(cache.ledger, cache.told, Open())
    cache.ledger.database.close()
    with pytest.raises(StoreFailed, match="index"):
        await index.shows(PUBLIC, KEY)
    await index.close()  # the uses that were not written are worth no failure
    cache.ledger.generation.close()
