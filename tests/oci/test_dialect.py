"""Does a registry have a blob? HEAD says so, or a GET of one byte where HEAD is refused."""

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.errors import NotAllowed, NotThere, Outage
from apprproxy.core.kind import Kind
from apprproxy.core.model import BlobWant, Expected, NameWant, Place, Write
from apprproxy.core.ports.upstream import Lane, Reply
from apprproxy.oci.dialect import OciDialect
from tests.fakes import lies
from tests.fakes.clock import Gate
from tests.fakes.content import digest, oci_error, some_bytes
from tests.fakes.gateway import Gateways
from tests.fakes.registry import Registry

HUB = Place("hub", ("hub",))
CONTENT = some_bytes(50_000)
BLOB = f"/v2/hub/library/app/blobs/{digest(CONTENT)}"


@pytest.mark.parametrize("status", [403, 404, 405, 501])
async def test_where_head_is_refused_one_byte_is_asked_for(registry: Registry, gateways: Gateways, status: int) -> None:
    registry.on["HEAD blob"] = lies.says(status)
    registry.on["GET blob"] = lies.says(206, CONTENT[:1], Content_Range=f"bytes 0-0/{len(CONTENT)}")
    gateway = await gateways.start({"hub": registry})
    head = await gateway.head(BLOB)

    assert (200, str(len(CONTENT))) == (head.status, head.headers["Content-Length"])
    assert "bytes=0-0" == registry.seen[-1].headers["range"]
    assert [] == gateway.blobs


async def test_a_registry_that_ignores_the_range_is_believed_and_not_read(
    registry: Registry, gateways: Gateways
) -> None:
    registry.add_blob("library/app", CONTENT)
    registry.on["HEAD blob"] = lies.says(405)
    registry.on["GET blob"] = lies.headers_then(Gate())
    gateway = await gateways.start({"hub": registry})

    assert str(len(CONTENT)) == (await gateway.head(BLOB)).headers["Content-Length"]


async def test_head_of_a_missing_blob_is_remembered(registry: Registry, gateways: Gateways) -> None:
    gateway = await gateways.start({"hub": registry})
    statuses = {(await gateway.head(BLOB)).status for _ in range(3)}

    assert {404} == statuses
    assert 2 == registry.count()


@pytest.mark.parametrize(
    ("reply", "meaning"),
    [
        (Reply(200, {}), None),
        (Reply(206, {}), None),
        (Reply(404, {}, oci_error("MANIFEST_UNKNOWN")), NotThere),
        (Reply(400, {}, oci_error("NAME_INVALID")), NotThere),
        (Reply(403, {}, oci_error("DENIED")), NotThere),
        (Reply(403, {}, oci_error("UNAUTHORIZED")), NotThere),
        (Reply(403, {}, b"<html>"), Outage),
        (Reply(403, {}), Outage),
        (Reply(404, {}, oci_error("DENIED")), Outage),
        (Reply(404, {}, oci_error("UNAUTHORIZED")), Outage),
        (Reply(404, {}, oci_error("TOOMANYREQUESTS")), Outage),
        (Reply(404, {}, oci_error("UNKNOWN")), Outage),
        (Reply(400, {}, oci_error("UNSUPPORTED")), Outage),
        (Reply(404, {}, b"<html>"), Outage),
        (Reply(404, {}), Outage),
        (Reply(404, {}, b'{"errors": []}'), Outage),
        (Reply(404, {}, b'{"errors": [{"code": 5}]}'), Outage),
        (Reply(404, {}, b'{"errors": [{"code": "not a code"}]}'), Outage),
        (Reply(404, {}, b'{"errors": "x"}'), Outage),
        (Reply(404, {}, b'["errors"]'), Outage),
        (Reply(404, {}, b"null"), Outage),
        (Reply(500, {}, oci_error("UNKNOWN")), Outage),
        (Reply(410, {}, oci_error("NAME_UNKNOWN")), Outage),
    ],
)
def test_only_a_no_in_the_protocols_words_is_a_no(reply: Reply, meaning: type[Exception] | None) -> None:
    judged = OciDialect("hub").judge(reply)

    assert meaning is (None if judged is None else type(judged))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(500, {}), "answered 500"),
        (Reply(500, {}, oci_error("UNKNOWN")), "answered 500"),
        (Reply(502, {}, b"<html>"), "answered 502"),
        (Reply(404, {}, oci_error("DENIED")), "answered 404, DENIED"),
        (Reply(401, {}, oci_error("MADE_UP")), "answered 401 that is no OCI answer"),
        (Reply(404, {}, b"<html>"), "answered 404 that is no OCI answer"),
    ],
)
def test_an_error_of_the_registry_itself_is_not_told_as_somebody_elses_page(reply: Reply, said: str) -> None:
    judged = OciDialect("hub").judge(reply)

    assert isinstance(judged, Outage)
    assert f"hub: {said}" == str(judged)


@pytest.mark.parametrize("code", ["DENIED", "UNAUTHORIZED"])
def test_a_403_is_told_as_403_and_passes_no_name_on(code: str) -> None:
    judged = OciDialect("hub").judge(Reply(403, {}, oci_error(code)))

    assert isinstance(judged, NotThere)
    assert (403, False) == (judged.status, judged.passes_on)


def test_what_a_registry_is_not_asked_is_a_defect() -> None:
    with pytest.raises(ValueError, match="not asked"):
        OciDialect("hub").lookup(NameWant(HUB, Kind.CHANNEL, "app"))
    with pytest.raises(NotAllowed):
        OciDialect("hub").write(Write(HUB, "PUT", "/x"))


def test_bytes_are_asked_for_by_digest_in_their_repository() -> None:
    wanted = Digest.of(b"x", "sha512")
    request = OciDialect("hub").blob_request(BlobWant(HUB, "library/app", Expected(wanted)))

    assert f"/v2/library/app/blobs/{wanted}" == request.path
    assert ("repository:library/app:pull", Lane.BLOBS, "blob") == (request.scope, request.lane, request.kind)
