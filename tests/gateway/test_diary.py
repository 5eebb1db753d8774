"""What a transfer waited for is told in a line that does not grow without bound."""

import asyncio

from apprproxy.gateway.diary import MOST, WORTH_TELLING, Diary


async def test_what_is_waited_for_is_told_in_order() -> None:
    diary = Diary()
    for what in ("hub mirror-1", "hub"):
        diary.asks(what)
        diary.heard("sent it")
    diary.asks("another process")

    assert ["hub mirror-1", "hub"] == [tried.what for tried in diary.tried]
    assert ["hub mirror-1", "hub", "another process"] == [tried.what for tried in diary.so_far]


async def test_of_many_the_first_and_the_last_are_told() -> None:
    diary = Diary()
    for number in range(1000):
        diary.asks(f"hub {number}")
        diary.heard("broke off")
    told = [tried.what for tried in diary.tried]

    assert MOST == len(told)
    assert ["hub 0", "hub 999"] == [told[0], told[-1]]
    assert ["981 others"] == [what for what in told if "others" in what]


async def test_what_is_ours_in_many_pieces_is_told_as_one_and_is_nobody_else_s() -> None:
    diary = Diary()
    diary.asks("hub")
    for _ in range(4):
        with diary.meanwhile("the cache"):
            await asyncio.sleep(WORTH_TELLING / 2)
    so_far = diary.so_far
    diary.heard("sent it")

    assert ["the cache", "hub"] == [tried.what for tried in so_far]
    assert ["the cache", "hub"] == [tried.what for tried in diary.tried]
    assert all(tried.seconds >= 2 * WORTH_TELLING for tried in (so_far[0], diary.tried[0]))
    assert all(tried.seconds < WORTH_TELLING for tried in (so_far[1], diary.tried[1]))
