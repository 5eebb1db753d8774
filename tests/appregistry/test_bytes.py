"""A package is passed on only when the tar inside it has the digest that names it, whoever sent it."""

import asyncio
import base64
import hashlib
import os
import random
import tracemalloc
import zlib

import pytest

from apprproxy.core.model import KIB, MAX_PACKED, MIB
from apprproxy.face import send
from apprproxy.store.blobs.held import FileHeld
from apprproxy.store.blobs.unpacked import ALWAYS, MAX_MEMBERS, MAX_RATIO, MAX_UNPACKED, NotGzip, unpacked_digest
from tests.appregistry.archives import (
    as_helm_packs,
    bomb,
    chart,
    digest_of,
    empty_blocks,
    in_members,
    packed,
    tar_of,
    unpacked,
    with_file_name,
)
from tests.appregistry.conftest import Start
from tests.appregistry.registry import GZIP, Answer, Registry, html
from tests.appregistry.upstream import Upstream, running
from tests.fakes.clock import until
from tests.fakes.raw import wire

TAR = chart("1.0.0")
DIGEST = digest_of(TAR).hex
BLOB = f"/cnr/api/v1/packages/alice/nginx/blobs/sha256/{DIGEST}"
PULL = "/cnr/api/v1/packages/alice/nginx/1.0.0/helm/pull"
NOISY = tar_of({"nginx/noise": random.Random(7).randbytes(8 * MIB)})
NOISE = f"/cnr/api/v1/packages/alice/nginx/blobs/sha256/{digest_of(NOISY).hex}"
MISMATCHES = "apprproxy_digest_mismatches_total"


def sends(upstream: Upstream, body: bytes, announced: int | None = None) -> None:
    """The release is there, and its digest is answered with this body."""
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    answer = Answer(200, body, GZIP, announced=announced)
    upstream.twist = lambda target: answer if "/blobs/" in target else None


@pytest.mark.parametrize("target", [BLOB, f"{BLOB}?format=json", PULL, f"{PULL}?format=json"])
async def test_another_tar_than_the_one_asked_for_is_refused_counted_and_not_kept(
    target: str, start: Start, upstream: Upstream
) -> None:
    sends(upstream, packed(chart("6.6.6")))
    gateway = await start({"up": upstream})
    got = await gateway.get(target)

    assert got.status == 502
    assert "upstream-failed" == got.json["code"]
    assert f"sha256:{DIGEST}" in got.json["message"]
    assert 1 == gateway.total(MISMATCHES, upstream="up", source="owner")
    assert all(b"6.6.6" not in file.read_bytes() for file in gateway.held())


async def test_once_the_upstream_is_repaired_the_package_comes(start: Start, upstream: Upstream) -> None:
    sends(upstream, packed(chart("6.6.6")))
    gateway = await start({"up": upstream})
    refused = await gateway.get(PULL)
    upstream.twist = lambda _: None
    too_soon = await gateway.get(PULL)
    gateway.clock.advance(10.0)
    served = await gateway.get(PULL)

    assert (502, 502, 200) == (refused.status, too_soon.status, served.status)
    assert TAR == unpacked(served.body)


NO_PACKAGES = {
    "HTML with 200": b"<html>maintenance</html>",
    "nothing at all": b"",
    "the bare tar": TAR,
    "a gzip header alone": packed(TAR)[:10],
    "a gzip file cut off in its data": packed(TAR)[:-20],
    "a gzip file without its trailer": packed(TAR)[:-8],
    "a gzip file with a wrong checksum": packed(TAR)[:-8] + b"\1\2\3\4" + packed(TAR)[-4:],
    "rubbish behind the gzip file": packed(TAR) + b"rubbish",
    "rubbish behind zero padding": packed(TAR) + bytes(600) + b"rubbish",
    "zeros behind the gzip file": packed(TAR) + bytes(1),
    "zeros between members": packed(TAR[:700]) + bytes(512) + packed(TAR[700:]),
    "a second member cut off": packed(TAR) + packed(b"more")[:-3],
    "a zlib stream": zlib.compress(TAR),
    "many times what is in it": empty_blocks(TAR, 100 * KIB),
    "a name that Go does not read": with_file_name(TAR, "x" * 512),
    "such a name in a second member": packed(TAR[:700]) + with_file_name(TAR[700:], "x" * 512),
}
"""Or one that some clients read otherwise."""


@pytest.mark.parametrize("what", NO_PACKAGES)
async def test_what_is_no_gzip_file_is_refused_and_not_kept(what: str, start: Start, upstream: Upstream) -> None:
    sends(upstream, NO_PACKAGES[what])
    gateway = await start({"up": upstream})
    got = await gateway.get(BLOB)

    assert 502 == got.status
    assert "application/json" == got.headers["Content-Type"]
    assert [] == gateway.held()
    assert [] == list((gateway.directory / "ingest").iterdir())


PACKAGES = {
    "several members": in_members(TAR, 100, 1000, 5000),
    "an empty member first": packed(b"") + packed(TAR),
    "a name in the header": with_file_name(TAR, "alice_nginx_1.0.0_helm.tar"),
    "the longest name in the header": with_file_name(TAR, "x" * 511),
    "what helm package has in the header": as_helm_packs(TAR),
    "stored, not compressed": packed(TAR, level=0),
    "some empty blocks": empty_blocks(TAR, KIB),
}


@pytest.mark.parametrize("what", PACKAGES)
async def test_every_gzip_file_of_the_right_tar_is_passed_on_byte_for_byte(
    what: str, start: Start, upstream: Upstream
) -> None:
    sends(upstream, PACKAGES[what])
    gateway = await start({"up": upstream})
    raw = await gateway.get(BLOB)
    inside = await gateway.get(f"{BLOB}?format=json")

    assert (200, 200) == (raw.status, inside.status)
    assert PACKAGES[what] == raw.body
    assert PACKAGES[what] == base64.b64decode(inside.json["blob"])
    assert GZIP == raw.headers["Content-Type"]
    assert "Content-Encoding" not in raw.headers


async def test_a_package_in_json_that_nobody_takes_is_a_small_piece_in_memory(
    start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    genuine = FileHeld.pread

    def pread(held: FileHeld, offset: int, count: int) -> bytes:
        read.append(count)
        return genuine(held, offset, count)

    sends(upstream, package := packed(NOISY))
    gateway = await start({"up": upstream})
    await gateway.get(NOISE)
    monkeypatch.setattr(FileHeld, "pread", pread)
    monkeypatch.setattr(send, "_at_hand", lambda *_: b"")
    got = await gateway.get(f"{NOISE}?format=json")

    assert package == base64.b64decode(got.json["blob"])
    assert max(read) <= 32 * KIB


async def test_a_package_in_json_whose_file_is_cut_meanwhile_is_broken_off(start: Start, upstream: Upstream) -> None:
    """Else the next answer of the connection would be taken for its end."""
    sends(upstream, packed(NOISY))
    gateway = await start({"up": upstream})
    whole = len((await gateway.get(f"{NOISE}?format=json")).body)
    (file,) = gateway.held()
    async with wire(gateway.url, limit=1000, window=2048) as client:
        await client.send(f"GET {NOISE}?format=json HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.head()
        os.truncate(file, 100_000)
        received = await client.rest()

    assert len(received) < whole
    assert b"HTTP/1.1" not in received


async def test_a_gzip_bomb_is_refused(start: Start, upstream: Upstream) -> None:
    sends(upstream, bomb(MAX_UNPACKED + MIB))
    gateway = await start({"up": upstream})
    got = await gateway.get(BLOB)

    assert 502 == got.status
    assert f"unpacks to more than {MAX_RATIO} times its size" in got.json["message"]
    assert [] == gateway.held()


def test_no_more_is_unpacked_than_is_taken_however_well_it_may_be_packed() -> None:
    piece = random.Random(1).randbytes(8 * KIB) + bytes(56 * KIB)
    content = bomb(MAX_UNPACKED, piece * 16)

    with pytest.raises(NotGzip, match=f"unpacks to more than {MAX_UNPACKED} bytes"):
        unpacked_digest(lambda offset, count: content[offset : offset + count])


def test_a_file_of_empty_members_is_refused_before_all_of_them_are_read() -> None:
    content = packed(b"") * (MAX_MEMBERS + 1)

    with pytest.raises(NotGzip, match=f"more than {MAX_MEMBERS} members"):
        unpacked_digest(lambda offset, count: content[offset : offset + count])


def test_a_file_of_empty_blocks_is_refused_before_all_of_them_are_read() -> None:
    content, read = empty_blocks(TAR, 8 * MIB), list[int]()

    def some(offset: int, count: int) -> bytes:
        read.append(offset)
        return content[offset : offset + count]

    with pytest.raises(NotGzip, match="that are in it"):
        unpacked_digest(some)
    assert len(content) > 8 * MIB
    assert max(read) < 2 * MIB


@pytest.mark.parametrize("size", [MIB, ALWAYS])
def test_zeros_are_a_package_too(size: int) -> None:
    content = packed(bytes(size))

    assert digest_of(bytes(size)) == unpacked_digest(lambda offset, count: content[offset : offset + count])


async def test_bombs_of_one_upstream_hold_up_no_others_packages(start: Start, upstream: Upstream) -> None:
    sends(upstream, bomb(MAX_UNPACKED))
    async with running(Registry()) as good:
        good.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
        gateway = await start({"up": upstream, "good": good})
        below = "/up/cnr/api/v1/packages/a/b/blobs/sha256"
        attack = [asyncio.create_task(gateway.get(f"{below}/{number:064x}")) for number in range(24)]
        await until(lambda: upstream.count("blobs") > 2)
        got = await gateway.get("/good/cnr/api/v1/packages/alice/nginx/1.0.0/helm/pull")
        waiting = sum(not one.done() for one in attack)
        for one in attack:
            one.cancel()
        await asyncio.gather(*attack, return_exceptions=True)

    assert (200, packed(TAR)) == (got.status, got.body)
    assert waiting > 12


def test_a_gzip_bomb_costs_no_memory() -> None:
    content = bomb(MAX_UNPACKED)
    tracemalloc.start()
    with pytest.raises(NotGzip, match="unpacks to more than"):
        unpacked_digest(lambda offset, count: content[offset : offset + count])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(content) < 2 * MIB
    assert peak < 2 * MIB


@pytest.mark.parametrize("announced", [None, MAX_PACKED])
async def test_more_packed_bytes_than_are_taken_are_refused(
    announced: int | None, start: Start, upstream: Upstream
) -> None:
    too_much = packed(bytes(100)) + bytes(MAX_PACKED)
    sends(upstream, too_much)
    gateway = await start({"up": upstream})
    got = await gateway.get(BLOB)

    assert 502 == got.status
    assert str(MAX_PACKED) in got.json["message"]
    assert [] == gateway.held()


@pytest.mark.parametrize("difference", [-7, 7])
async def test_a_body_of_another_length_than_announced_is_an_outage(
    difference: int, start: Start, upstream: Upstream
) -> None:
    package = packed(TAR)
    sends(upstream, package, announced=len(package) - difference)
    gateway = await start({"up": upstream})
    got = await gateway.get(BLOB)

    assert 502 == got.status
    assert [] == gateway.held()


async def test_a_coded_answer_is_refused_even_if_it_would_decode_to_the_package(
    start: Start, upstream: Upstream
) -> None:
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    coded = Answer(200, packed(packed(TAR)), GZIP, {"Content-Encoding": "gzip"})
    upstream.twist = lambda target: coded if "/blobs/" in target else None
    gateway = await start({"up": upstream})
    got = await gateway.get(BLOB)

    assert 502 == got.status


async def test_html_where_a_package_is_not_is_an_outage_and_not_a_no(start: Start, upstream: Upstream) -> None:
    upstream.twist = lambda _: html(404)
    gateway = await start({"up": upstream})
    got = await gateway.get(BLOB)

    assert 502 == got.status
    assert "upstream-failed" == got.json["code"]


async def test_a_package_that_was_compressed_anew_upstream_keeps_the_bytes_and_the_entity_tag_that_were_first_seen(
    start: Start, upstream: Upstream
) -> None:
    first, second = packed(TAR, 9), packed(TAR, 1)
    registry = upstream.registry
    registry.push("alice/nginx", "1.0.0", "helm", first)
    gateway = await start({"up": upstream})
    before = await gateway.get(PULL)
    registry.push("alice/nginx", "1.0.1", "helm", second)
    gateway.clock.advance(3600)
    after = await gateway.get(PULL)
    of_the_other = await gateway.get(PULL.replace("1.0.0", "1.0.1"))

    assert first != second
    assert first == before.body == after.body == of_the_other.body
    tag = f'"sha256:{hashlib.sha256(first).hexdigest()}"'
    assert {tag} == {got.headers["ETag"] for got in (before, after, of_the_other)}
    assert 0 == gateway.total("apprproxy_moved_names_total")


async def test_a_client_that_has_the_package_is_told_so(start: Start, upstream: Upstream) -> None:
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    gateway = await start({"up": upstream})
    first = await gateway.get(PULL)
    again = await gateway.get(PULL, headers={"If-None-Match": first.headers["ETag"]})

    assert (304, b"") == (again.status, again.body)


async def test_a_range_of_a_held_package_is_served(start: Start, upstream: Upstream) -> None:
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    gateway = await start({"up": upstream})
    await gateway.get(PULL)
    part = await gateway.get(PULL, headers={"Range": "bytes=3-9"})

    assert (206, packed(TAR)[3:10]) == (part.status, part.body)


async def test_head_says_what_get_would_and_sends_nothing(start: Start, upstream: Upstream) -> None:
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    gateway = await start({"up": upstream})
    for target in (PULL, BLOB, f"{PULL}?format=json", f"{BLOB}/json", "/cnr/version", "/cnr/api/v1/packages"):
        head, get = await gateway.get(target, "HEAD"), await gateway.get(target)

        assert (200, b"") == (head.status, head.body)
        for field in ("Content-Length", "Content-Type", "ETag", "Content-Disposition"):
            assert head.headers.get(field) == get.headers.get(field)


async def test_a_pull_asks_for_the_manifest_and_then_for_the_bytes_by_their_digest(
    start: Start, upstream: Upstream
) -> None:
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    gateway = await start({"up": upstream})
    await gateway.get(PULL)

    assert [PULL.removesuffix("/pull"), BLOB] == upstream.asked
