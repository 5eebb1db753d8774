"""Every request is parsed, answered by the face that claims it, and reported once."""

import json

import pytest

from tests.fakes import lies
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways
from tests.fakes.raw import wire
from tests.fakes.registry import Registry


async def test_a_request_that_has_been_here_before_is_a_loop(registry: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await gateway.get("/v2/hub/library/app/manifests/1.0")
    ours = registry.seen[0].headers["via"]
    asked = registry.count()
    for via in (ours, f"1.1 squid, {ours}, 1.0 fred (Apache/1.1)".replace(" (Apache/1.1)", "")):
        looped = await gateway.get("/v2/hub/library/app/manifests/2.0", Via=via)

        assert 508 == looped.status
        assert "an upstream's url leads back to this gateway" in looped.message
    assert asked == registry.count()


async def test_another_gateway_in_between_is_no_loop(registry: Registry, gateways: Gateways) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    far = await gateways.start({"hub": registry}, cache="far")
    near = await gateways.start({"far": {"url": far.url}}, cache="near")

    assert content == (await near.get("/v2/far/hub/library/app/manifests/1.0")).body


async def test_an_upstream_that_leads_back_here_is_an_error(gateways: Gateways) -> None:
    first = await gateways.start({"hub": {"url": "http://127.0.0.1:1"}}, cache="cache")
    back = await gateways.start({"hub": {"url": first.url}}, cache="cache")
    failed = await back.get("/v2/hub/hub/app/manifests/1.0")

    assert 502 == failed.status
    assert "hub: leads back to this gateway" in failed.message


async def test_the_absolute_form_of_a_target_is_the_same_request(registry: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    async with wire(gateway.url) as client:
        await client.send(f"GET {gateway.url}/v2/hub/library/app/manifests/1.0 HTTP/1.1\r\nHost: x\r\n\r\n")

        assert "HTTP/1.1 200 OK" in await client.head()


@pytest.mark.parametrize("target", ["*", "http:/v2/", "ftp://x/v2/", "x", "//v2/a"])
async def test_a_target_that_is_none_is_refused(gateways: Gateways, logged: Logged, target: str) -> None:
    gateway = await gateways.start({})
    async with wire(gateway.url) as client:
        await client.send(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        assert b"400" == (await client.rest())[9:12]
    assert "Traceback" not in logged.text


async def test_each_request_is_one_line_of_the_log(registry: Registry, gateways: Gateways, logged: Logged) -> None:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    answers = [await gateway.get("/v2/hub/library/app/manifests/1.0"), await gateway.get("/v2/hub/nope/manifests/x")]
    lines = [json.loads(line) for line in logged.text.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]

    assert [200, 404] == [line["status"] for line in requests]
    assert [answer.headers["X-Request-Id"] for answer in answers] == [line["request_id"] for line in requests]
    assert ("GET", "oci", "library/app:1.0", "miss", "hub") == tuple(
        requests[0][key] for key in ("method", "face", "name", "cache", "upstream")
    )
    assert len(answers[0].body) == requests[0]["bytes"]
    assert requests[0]["seconds"] >= 0


async def test_a_forged_log_line_stays_one_line(registry: Registry, gateways: Gateways, logged: Logged) -> None:
    words = '{"errors":[{"code":"NAME_UNKNOWN","message":"x\\n{\\"event\\":\\"forged\\"}\\u202e"}]}'
    registry.on["tag"] = lies.says(404, words.encode())
    gateway = await gateways.start({"hub": registry})
    await gateway.get("/v2/hub/library/app/manifests/1.0")

    assert "forged" not in [json.loads(line)["event"] for line in logged.text.splitlines()]
    assert "\u202e" not in logged.text


async def test_the_upstream_of_a_failure_is_in_the_log(gateways: Gateways, logged: Logged) -> None:
    gateway = await gateways.start({"hub": {"kind": "oci", "url": "http://127.0.0.1:1"}})
    await gateway.get("/v2/hub/library/app/manifests/1.0")
    lines = [json.loads(line) for line in logged.text.splitlines()]
    (request,) = (line for line in lines if line["event"] == "request")
    (trouble,) = (line for line in lines if line["event"] == "upstream trouble")

    assert "hub" == request["upstream"]
    assert ("hub", "library/app:1.0") == (trouble["upstream"], trouble["name"])
