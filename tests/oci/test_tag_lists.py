"""A tag list is taken apart once for all who page through it, and who waits for that holds no list meanwhile."""

import asyncio
import json
import threading

import pytest

from apprproxy.core import reading
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Crowded
from apprproxy.core.reading import FEW_VALUES, LARGE
from apprproxy.face.large import Large
from apprproxy.oci import tag_lists
from apprproxy.oci.paging import Page, TagList, tag_list
from apprproxy.oci.tag_lists import TagLists
from apprproxy.store.blobs.held import MemoryHeld

TAGS = [f"v{number:04d}" for number in range(3000)]


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if these had been."""
    monkeypatch.setattr(reading, "LARGE", 0)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the lists that were taken apart."""
    names: list[str] = []

    def counted(document: bytes) -> TagList:
        names.append(json.loads(document)["name"])
        return tag_list(document)

    monkeypatch.setattr(tag_lists, "tag_list", counted)
    return names


def held(name: str) -> MemoryHeld:
    body = json.dumps({"name": name, "tags": TAGS}).encode()
    return MemoryHeld(body, Digest.of(body))


async def test_it_is_taken_apart_once_for_all_who_ask_at_the_same_time(apart: list[str]) -> None:
    lists, document = TagLists(Large()), held("app")
    pages = await asyncio.gather(*(lists.page("hub", document, Page(1, tag)) for tag in TAGS[:100]))

    assert TAGS[1:101] == [tag for page in pages for tag in page.tags]
    assert ["app"] == apart


async def test_who_ask_for_more_lists_than_are_kept_are_given_each_list_together(
    apart: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_lists, "MAX_KEPT", 30_000)
    lists = TagLists(Large())
    documents = [held(name) for name in "abcd"]
    pages = await asyncio.gather(
        *(lists.page("hub", document, Page(2, None)) for _ in range(20) for document in documents)
    )

    assert [TAGS[:2]] * 80 == [page.tags for page in pages]
    assert list("abcd") == apart


async def test_one_that_is_larger_than_all_that_are_kept_is_kept_alone(
    apart: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tag_lists, "MAX_KEPT", 10_000)
    lists = TagLists(Large())
    for name in "aabb":
        await lists.page("hub", held(name), Page(2, None))

    assert ["a", "b"] == apart


async def test_a_small_one_waits_for_nothing_that_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGE", LARGE)
    body = json.dumps({"name": "app", "tags": TAGS[:900]}).encode()
    large, going_on = Large(), threading.Event()
    other = asyncio.create_task(large.aside("hub", "other", lambda: going_on.wait(30)))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        page = await TagLists(large).page("hub", MemoryHeld(body, Digest.of(body)), Page(1, "v0001"))
    going_on.set()

    assert (["v0002"], True) == (list(page.tags), await other)


async def test_a_small_one_that_takes_time_is_taken_apart_beside_everything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Anybody may push such a thing, and ask for it as often as they like."""
    monkeypatch.setattr(reading, "LARGE", LARGE)
    body = json.dumps({"name": "app", "tags": TAGS[:3], **{str(number): 1 for number in range(FEW_VALUES)}}).encode()
    large, going_on = Large(patience=0.05), threading.Event()
    other = asyncio.create_task(large.aside("hub", "other", lambda: going_on.wait(30)))
    await asyncio.sleep(0)
    with pytest.raises(Crowded):
        await TagLists(large).page("hub", MemoryHeld(body, Digest.of(body)), Page(1, ""))
    going_on.set()

    assert await other
