"""What came first stands, by whichever title it is asked for, unless an operator follows moves."""

import asyncio
from collections.abc import Collection, Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.digest import Digest
from apprproxy.core.model import Descriptor, FirstSeen, Found
from apprproxy.gateway.kept.first_seen import FirstSeenDigests
from tests.core.laws import law
from tests.fakes.members import member_of

ANY = "alice/nginx@1.0.0/-"
TITLES = ("alice/nginx@1.0.0/helm", "alice/nginx@1.0.0/kpm")
CONTENTS = tuple(Digest.of(str(number).encode()) for number in range(3))
MODES = {mode: member_of("up", kind="appr", moved=mode) for mode in ("refuse", "follow")}

claims = st.tuples(st.sampled_from(TITLES), st.sampled_from(CONTENTS), st.booleans())
steps = st.lists(st.tuples(claims, st.sampled_from(("refuse", "refuse", "follow"))), max_size=12)


class Seen:
    """Implements FirstSeens. Like a disk, it lets others go on before it answers."""

    def __init__(self) -> None:
        self.titles: dict[str, FirstSeen] = {}

    async def first_seen(self, upstream: str, titles: Iterable[str]) -> dict[str, FirstSeen]:
        found = {title: self.titles[title] for title in titles if title in self.titles}
        await asyncio.sleep(0)
        return found

    async def set_first_seen(
        self, upstream: str, seen: Mapping[str, FirstSeen], as_of: int, new: Collection[str] = ()
    ) -> bool:
        there = self.titles.keys() & new
        self.titles.update({title: first for title, first in seen.items() if title not in there})
        await asyncio.sleep(0)
        return not there


def answer(title: str, digest: Digest, *, by_any: bool) -> Found:
    aliases = dict.fromkeys(TITLES, ANY)
    target = Descriptor(digest, 1, "application/json")
    return Found(target, b"{}", titles={title: digest}, aliases=aliases, alias=ANY if by_any else "")


def given_out(seen: Seen, mode: str, title: str, digest: Digest, *, by_any: bool) -> Digest:
    """What a client gets that asks by format, or by none."""
    digests = FirstSeenDigests(seen, lambda _: None, lambda: 0.0)
    settled = asyncio.run(digests.settle(MODES[mode], answer(title, digest, by_any=by_any), 0))
    return settled.standing.get(title, digest)


@law
@given(st.lists(claims, max_size=12))
def test_whoever_asks_again_is_given_the_same(asked: list[tuple[str, Digest, bool]]) -> None:
    seen, first = Seen(), dict[str, Digest]()
    for title, digest, by_any in asked:
        got = given_out(seen, "refuse", title, digest, by_any=by_any)

        assert got == first.setdefault(ANY if by_any else title, got)


@law
@given(steps)
def test_what_was_followed_is_what_stands_after_it(asked: list[tuple[tuple[str, Digest, bool], str]]) -> None:
    seen, last = Seen(), dict[str, Digest]()
    for (title, digest, by_any), mode in asked:
        name, got = ANY if by_any else title, given_out(seen, mode, title, digest, by_any=by_any)

        assert digest == got if mode == "follow" else got == last.get(name, got)
        if mode == "follow":
            last.clear()  # it may be another by any of them
        last[name] = got


@law
@given(st.lists(claims, min_size=2, max_size=4), claims)
def test_of_answers_that_come_at_once_one_stands_for_all(
    at_once: list[tuple[str, Digest, bool]], later: tuple[str, Digest, bool]
) -> None:
    """An upstream may tell each of them something else: whoever asks again is given what it was given."""
    seen = Seen()

    async def settled(title: str, digest: Digest, by_any: bool) -> Digest:
        digests = FirstSeenDigests(seen, lambda _: None, lambda: 0.0)
        found = await digests.settle(MODES["refuse"], answer(title, digest, by_any=by_any), 0)
        return found.standing.get(title, digest)

    async def all_at_once() -> list[Digest]:
        return await asyncio.gather(*(settled(*one) for one in at_once))

    given_first = asyncio.run(all_at_once())
    _, digest, _ = later
    for (title, _, by_any), got in zip(at_once, given_first, strict=True):
        assert got == given_out(seen, "refuse", title, digest, by_any=by_any)


@pytest.mark.parametrize("at_once", [(False, True), (True, False)])
def test_of_two_at_once_one_stands_whether_a_format_is_named_or_none(at_once: tuple[bool, ...]) -> None:
    """Each is told something else by its upstream."""
    seen = Seen()

    async def settled(digest: Digest, by_any: bool) -> Digest:
        found = answer(TITLES[0], digest, by_any=by_any)
        digests = FirstSeenDigests(seen, lambda _: None, lambda: 0.0)
        return (await digests.settle(MODES["refuse"], found, 0)).standing.get(TITLES[0], digest)

    async def all_at_once() -> list[Digest]:
        return await asyncio.gather(*(settled(*one) for one in zip(CONTENTS, at_once, strict=False)))

    assert [CONTENTS[0]] * 2 == asyncio.run(all_at_once())
    assert {CONTENTS[0]} == {first.digest for first in seen.titles.values()}
