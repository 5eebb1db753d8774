"""What a client has of bytes that nobody keeps is one source's, whoever sent them before."""

import pytest
from hypothesis import given as having
from hypothesis import strategies as st

from apprproxy.core.digest import Digest
from apprproxy.core.errors import HasLess, Lied
from apprproxy.core.label import Label
from apprproxy.gateway.delivery.follow import WITHHELD
from apprproxy.gateway.delivery.given import Given
from apprproxy.store.blobs.held import MemoryHeld
from tests.core.laws import law
from tests.fakes.content import some_bytes

HUB, FAR, EVIL = Label("hub"), Label("far"), Label("evil")
PIECE = 16 * 1024
BLOB = some_bytes(3 * WITHHELD)


def sends(given: Given, source: Label, content: bytes) -> bytes:
    """From where it is to go on; what left."""
    given.goes_on(source)
    pieces = [content[at : at + PIECE] for at in range(given.position, len(content), PIECE)]
    return b"".join(piece for sent in pieces for piece in given.taken(sent))


@law
@having(st.lists(st.tuples(st.sampled_from([HUB, FAR]), st.integers(0, len(BLOB))), max_size=6), st.data())
def test_whoever_breaks_off_wherever_what_left_is_the_blob(
    breaks: list[tuple[Label, int]], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(BLOB) - 1))
    stop = data.draw(st.integers(at + 1, len(BLOB)))
    given = Given(at, stop, len(BLOB), "sha256")
    left = b"".join(sends(given, source, BLOB[:upto]) for source, upto in breaks)
    left += sends(given, HUB, BLOB)
    digest, last = given.ended()

    assert Digest.of(BLOB) == digest
    assert BLOB[at:stop] == left + b"".join(last)


def test_what_has_not_left_is_forgotten_for_who_comes_next() -> None:
    given = Given(0, len(BLOB), len(BLOB), "sha256")
    assert b"" == sends(given, EVIL, b"!" * WITHHELD)
    left = sends(given, HUB, BLOB)
    digest, last = given.ended()

    assert (Digest.of(BLOB), BLOB) == (digest, left + b"".join(last))


def test_nothing_is_given_of_who_sends_other_bytes_and_another_may_go_on() -> None:
    given = Given(0, len(BLOB), len(BLOB), "sha256")
    left = sends(given, HUB, BLOB[: 2 * WITHHELD])
    with pytest.raises(Lied, match="hub: sent other bytes than evil"):
        sends(given, EVIL, b"!" + BLOB[1:])
    sends(given, EVIL, b"!")
    with pytest.raises(HasLess):
        given.ended()
    left += sends(given, FAR, BLOB)
    _, last = given.ended()

    assert BLOB == left + b"".join(last)


def test_bytes_of_several_sources_of_an_upstream_are_told_by_its_name() -> None:
    given = Given(WITHHELD, len(BLOB), len(BLOB), "sha256")
    given.had(MemoryHeld(BLOB, Digest.of(BLOB)), Label("hub", ""))
    with pytest.raises(Lied, match=r"^hub: sent other bytes than evil"):
        sends(given, EVIL, b"!" + BLOB[1:])
