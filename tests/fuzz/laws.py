"""What several targets ask of a result."""

import re

import orjson

from apprproxy.appregistry.errors import error_body as package_error
from apprproxy.core.errors import Exhausted, Failure, UpstreamFault
from apprproxy.core.kind import Kind
from apprproxy.core.model import NameWant, Place, want_of
from apprproxy.face.status import status_of
from apprproxy.oci.errors import error_body as oci_error
from apprproxy.ops.logs import plain

COMMAND = re.compile(r"[A-Za-z0-9 ._:/@+~-]+")
"""What may stand in a line that somebody copies into a shell."""


def text(data: bytes) -> str:
    """Header fields and request lines as the HTTP library gives them."""
    return data.decode(errors="surrogateescape")


def may_be_told(failure: Failure) -> None:
    """In the words of either protocol, with a status that is an error's."""
    told = Exhausted([failure]) if isinstance(failure, UpstreamFault) else failure
    assert 400 <= status_of(told) <= 599, status_of(told)
    for body in (oci_error(told, Kind.TAG), package_error(told)):
        assert isinstance(orjson.loads(body), dict)


def may_be_shown(failure: Failure) -> None:
    """On a terminal; what operators write may be no text."""
    assert plain(str(failure)).encode()


def is_remembered(want: NameWant) -> None:
    """Under a key that leads back to it."""
    place = Place("any", ("any",))
    again = want_of(place, want.key)
    assert again is not None
    assert (again.kind, again.repository, again.name) == (want.kind, want.repository, want.name)
    assert again.key == want.key
