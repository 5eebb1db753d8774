"""What a transfer waited for, for whoever asks why a pull took long."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tried:
    """What a transfer waited for, as failures name it (``hub mirror-1``), how long, and what came of it."""

    what: str
    seconds: float
    outcome: str

    def __str__(self) -> str:
        return f"{self.what} {self.seconds:.2f} s: {self.outcome}"


def hand_on(error: BaseException, tried: Iterable[Tried]) -> None:
    """To whoever tells of the request that this ends, be it that its client has left."""
    vars(error)["tried"] = tuple(tried)


def handed_on(error: BaseException | None) -> tuple[Tried, ...]:
    """By it, or by what it came of."""
    while error is not None:
        if "tried" in vars(error):
            return tuple(vars(error)["tried"])
        error = error.__cause__
    return ()


THE_CACHE = "the cache"
"""What is waited for beside sources, as it is told."""
WORTH_TELLING = 0.1
"""Seconds that somebody who looks for the cause of a slow pull asks about."""
MOST = 20
"""Waits that are told one by one: half of them the first, the others the last."""


class Diary:
    """``tried`` is what came of each wait, in order; where there were many, those in the middle are told as one."""

    def __init__(self) -> None:
        self.tried: list[Tried] = []
        self._others = 0
        self._waits: tuple[str, float] | None = None
        self._ours: dict[str, float] = {}

    def asks(self, what: str) -> None:
        """It waits for this from now on."""
        self.heard("was left for another")
        self._waits = (what, asyncio.get_running_loop().time())

    def heard(self, outcome: str) -> None:
        """What came of that, if there was something it waited for."""
        if self._waits is not None:
            what, since = self._waits
            self._waits = None
            self._note_ours()
            self._note(Tried(what, asyncio.get_running_loop().time() - since, outcome))

    @contextmanager
    def meanwhile(self, what: str) -> Iterator[None]:
        """What is ours to do is not the time of whom it waits for; however often that is, it is told once for each."""
        now = asyncio.get_running_loop().time
        began = now()
        try:
            yield
        finally:
            seconds = now() - began
            self._ours[what] = self._ours.get(what, 0.0) + seconds
            if self._waits is None:
                self._note_ours()
            else:
                asked, since = self._waits
                self._waits = (asked, since + seconds)

    def _note_ours(self) -> None:
        for tried in self._ours_worth_telling():
            self._note(tried)
        self._ours.clear()

    def _ours_worth_telling(self) -> list[Tried]:
        took = self._ours.items()
        return [Tried(what, seconds, "took so long") for what, seconds in took if seconds >= WORTH_TELLING]

    def _note(self, tried: Tried) -> None:
        self.tried.append(tried)
        if len(self.tried) > MOST:
            self._shorten()

    def _shorten(self) -> None:
        first, second = self.tried[MOST // 2 : MOST // 2 + 2]
        self._others += 1 if self._others else 2
        others = Tried(f"{self._others} others", first.seconds + second.seconds, "in between")
        self.tried[MOST // 2 : MOST // 2 + 2] = [others]

    @property
    def worth_telling(self) -> tuple[Tried, ...]:
        """What of it took that long."""
        return tuple(tried for tried in self.tried if tried.seconds >= WORTH_TELLING)

    @property
    def so_far(self) -> Sequence[Tried]:
        """With what is being waited for now."""
        if self._waits is None:
            return tuple(self.tried)
        what, since = self._waits
        waits = Tried(what, asyncio.get_running_loop().time() - since, "still waited for")
        return (*self.tried, *self._ours_worth_telling(), waits)
