"""A view's catalog is merged once for all of its pages, however many names it has."""

import json

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.model import Cache, Descriptor, Record, Verdict
from apprproxy.face.large import Large
from apprproxy.face.surveyed import Surveyed
from apprproxy.gateway.names.lookup import Named
from apprproxy.oci import catalogs
from apprproxy.oci.catalogs import Catalogs
from apprproxy.store.blobs.held import MemoryHeld


def listing(*names: str) -> Surveyed:
    """A member's."""
    body = json.dumps({"repositories": names}).encode()
    digest = Digest.of(body)
    record = Record(Descriptor(digest, len(body), "application/json"), "hub", 0.0, 0.0)
    return Surveyed((("hub", Named(record, Verdict(Cache.HIT), MemoryHeld(body, digest))),), ())


async def test_what_is_larger_than_all_that_are_kept_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "MAX_NAMES", 6)
    kept = Catalogs(lambda member, name: True, Large())
    small = [await kept.merged("hub", listing("a", "b")), await kept.merged("hub", listing("a", "c"))]
    both = [await kept.merged("hub", listing("a", "b")), await kept.merged("hub", listing("a", "c"))]
    large = await kept.merged("hub", listing(*"abcdefgh"))

    assert all(one is another for one, another in zip(small, both, strict=True))
    assert large is await kept.merged("hub", listing(*"abcdefgh"))
    assert small[0] is not await kept.merged("hub", listing("a", "b"))
    assert large is not await kept.merged("hub", listing(*"abcdefgh"))
