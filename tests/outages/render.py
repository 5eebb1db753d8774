"""The table as an operator reads it: ``python -m tests.outages.render`` writes ``docs/outages.md``."""

from collections.abc import Iterator
from pathlib import Path

from tests.outages.table import OUTCOMES, TABLE, Outcome, Row, State

DOCUMENT = Path(__file__).parents[2] / "docs" / "outages.md"

_HEAD = """\
# What clients get while an upstream is away

Each line below is a test (`tests/outages`), and this page is written by them: `python -m tests.outages.render`.

- **A blob that is held** is served whatever becomes of its upstream, which is not asked: its digest says that it is
  right.
- **A name that is fresh** (a tag, a release, a list; not older than `fresh_for`) is served without asking as well.
- **A name that has expired** is asked about. If that fails, the last answer stands in for `stale_for`: see the column
  *expired*. A refresh that failed is not repeated for `missing_for`, so that an outage does not slow each request down.
- **What is not held**, and a name beyond `stale_for`, can only come from the upstream: see the column *not held*.
- **An upstream that fails three times in a row** (no connection; or no answer in time, for three different repositories
  or lists) is not asked for a second. Then one request looks whether it is back; each time that it is not, the next
  wait is twice as long, up to a minute.
- **One that fails in one repository three times in a row** (no answer in time, or 502, 503 or 504) is left alone in the
  same way, but about that repository only. So is one that answers 429 with `Retry-After`, until then, a minute at the
  most.
- **While it is not asked**, what is held is served at once, and what is not is 503 with `Retry-After` and the reason.

In a view nobody else stands in for an upstream that fails: only its own word that there is none passes a name on.
"""

_LEGEND = """\
## Legend

Failures are told in the words of the protocol that was asked, and name the upstream and what it did. The `Cache-Status`
of an answer says how it came about; `…` stands there for the upstream's own status, where there was one, and for the
seconds of freshness that are left, which are negative once there are none. A negative `ttl` without `detail` is the
last answer as well, given at once: the upstream is being asked just now, or failed within `missing_for`.

| in the table | status | `Cache-Status: apprproxy; …` | upstream asked | means |
|---|---|---|---|---|
"""


_OUTAGES = """\
## By outage

| outage | not held | expired | what has happened |
|---|---|---|---|
"""


def rendered() -> str:
    outages = _OUTAGES + "".join(f"{_line(row)}\n" for row in TABLE)
    legend = _LEGEND + "".join(f"{_explained(outcome)}\n" for outcome in OUTCOMES)
    return "\n".join((_HEAD, outages, legend))


def _line(row: Row) -> str:
    nothing = _cell(row, State.BEYOND, row.nothing)
    return f"| **{row.outage}** | {nothing} | {_cell(row, State.EXPIRED, row.stale)} | {row.sentence} |"


def _cell(row: Row, state: State, usual: Outcome) -> str:
    return "; ".join((usual.word, *_exceptions(row, state)))


def _exceptions(row: Row, state: State) -> Iterator[str]:
    """Of what is held and too old, where the column is for both that and what is not held."""
    too_old = " beyond `stale_for`" if state is State.BEYOND else ""
    return (f"a {thing}{too_old}: {outcome.word}" for (when, thing), outcome in row.but.items() if when is state)


def _explained(outcome: Outcome) -> str:
    status = f"{outcome.status} and `Retry-After`" if outcome.waits else str(outcome.status)
    cache = f"`{outcome.filled(said='…', left='…').cache}`" if outcome.cache else ""
    return f"| {outcome.word} | {status} | {cache} | {'yes' if outcome.asked else 'no'} | {outcome.means} |"


def main() -> None:
    DOCUMENT.write_text(rendered(), encoding="utf-8")


if __name__ == "__main__":
    main()
