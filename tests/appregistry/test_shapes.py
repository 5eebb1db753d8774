"""What servers send is checked at a cost that does not grow with what is wrong with it."""

import json
import tracemalloc
from collections.abc import Callable

import pytest

from apprproxy.appregistry import shapes
from apprproxy.core.digest import Digest
from apprproxy.core.documents import MAX_ELEMENTS

WRONG = {
    "manifests that are none": (shapes.read_manifests, b"[" + b"{}," * 20_000 + b"{}]"),
    "packages that are none": (shapes.check_packages, b"[" + b"{}," * 20_000 + b"{}]"),
    "channels that are none": (shapes.check_channels, b"[" + b"{}," * 20_000 + b"{}]"),
    "releases that are none": (shapes.check_packages, b'[{"name":"a/b","releases":[' + b"1," * 20_000 + b"1]}]"),
}


@pytest.mark.parametrize(("read", "body"), WRONG.values(), ids=WRONG)
def test_a_list_in_which_everything_is_wrong_costs_no_more_than_a_right_one(
    read: Callable[[bytes], object], body: bytes
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(shapes.NotTheShape):
            read(body)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 4 * 1024 * 1024, "every fault becomes an object of its own"


def test_what_is_wrong_is_told_with_its_place() -> None:
    with pytest.raises(shapes.NotTheShape, match=r"^1\.name: Field required$"):
        shapes.check_packages(b'[{"name": "a/b"}, {}]')
    with pytest.raises(shapes.NotTheShape, match=r"^document: Input should be a valid list$"):
        shapes.check_packages(b'{"name": "a/b"}')


def manifests(count: int) -> bytes:
    content = {"digest": "0" * 64}
    every = [
        {"package": "a/b", "release": f"1.0.{number}", "mediaType": "helm", "content": content}
        for number in range(count)
    ]
    return json.dumps(every).encode()


def test_a_package_has_so_many_manifests_at_the_most() -> None:
    assert shapes.MAX_MANIFESTS == len(shapes.read_manifests(manifests(shapes.MAX_MANIFESTS)))
    with pytest.raises(shapes.NotTheShape, match="more than"):
        shapes.read_manifests(manifests(shapes.MAX_MANIFESTS + 1))


FIRST, NOW = Digest.of(b"first"), Digest.of(b"now")
MOVED = (
    '{"package":"a/b","release":"1.0.0","mediaType":"helm", "metadata" : {"n":[1.50e2, 1E3],"\u00e9":"\\u00e9"},'
    f'"content":{{"size":1.0,"digest":"{NOW.hex}"}}}}'
).encode()


@pytest.mark.parametrize("body", [MOVED, b"[" + MOVED + b"]"], ids=["alone", "in a list"])
def test_what_stands_beside_a_digest_that_moved_is_not_written_anew(body: bytes) -> None:
    """The library writes all of it in one call, in which no thread has a turn: half a second for 8 MiB."""
    changed = shapes.with_digests(body, {"a/b@1.0.0/helm": FIRST})

    assert b'{"n":[1.50e2, 1E3],"\xc3\xa9":"\\u00e9"}' in changed
    assert b'{"size":1.0,"digest":"%s"}' % FIRST.hex.encode() in changed
    assert NOW.hex.encode() not in changed


@pytest.mark.parametrize("where", [b'"content":{', b"{"], ids=["of its content", "of its own"])
def test_a_release_that_moved_has_so_many_fields_at_the_most(where: bytes) -> None:
    many = b"".join(b'"%x":0,' % number for number in range(MAX_ELEMENTS))
    at = MOVED.index(where) + len(where)
    body = MOVED[:at] + many + MOVED[at:]

    assert shapes.read_manifest(body).digest == NOW
    with pytest.raises(shapes.NotTheShape, match="elements"):
        shapes.with_digests(body, {"a/b@1.0.0/helm": FIRST})
