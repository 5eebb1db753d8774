"""The process as operators meet it: start, signals, addresses, TLS."""

import asyncio
import base64
import datetime
import json
import os
import resource
import shutil
import signal
import ssl
import statistics
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apprproxy.app import build
from apprproxy.core.digest import Digest
from apprproxy.core.model import FirstSeen
from apprproxy.listening import CannotListen, listen
from apprproxy.serving import serve
from apprproxy.settings import Settings
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.names.names import DiskNames
from tests.appregistry.archives import chart, packed
from tests.appregistry.registry import Answer
from tests.appregistry.upstream import running as running_upstream
from tests.fakes.clock import Gate, until
from tests.fakes.content import some_bytes
from tests.fakes.fixtures import Logged
from tests.fakes.fixtures import logged as logged
from tests.fakes.listening import listening
from tests.fakes.raw import wire

CONTENT = b"0123456789" * 1000
DIGEST = Digest.of(CONTENT)


@asynccontextmanager
async def slow_upstream(go_on: asyncio.Event, asked: asyncio.Event) -> AsyncIterator[str]:
    """Sends half of a blob, and the rest once it is told to."""

    async def blob(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(CONTENT)
        await response.prepare(request)
        await response.write(CONTENT[:5000])
        asked.set()
        await go_on.wait()
        await response.write(CONTENT[5000:])
        return response

    app = web.Application()
    app.router.add_get("/v2/x/blobs/{digest}", blob)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        go_on.set()
        await runner.cleanup()


class Running:
    def __init__(self, process: asyncio.subprocess.Process, urls: list[str], lines: list[dict[str, Any]]) -> None:
        self.process = process
        self.urls = urls
        self.lines = lines

    async def ended(self) -> int:
        assert self.process.stderr is not None
        self.lines += [json.loads(line) for line in (await self.process.stderr.read()).splitlines()]
        return await self.process.wait()


def gateway(folder: Path, **configuration: Any) -> AbstractAsyncContextManager[Running]:
    """A real process; its log is JSON since standard error is no terminal."""
    return started(folder, configuration)


@asynccontextmanager
async def started(folder: Path, configuration: dict[str, Any], files: int = 0) -> AsyncIterator[Running]:
    """``files`` is how many it may open, 0 for as many as we."""
    configuration.setdefault("server", {"listen": "127.0.0.1:0"})
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"cache": {"directory": str(folder / "cache")}, **configuration}))
    command = (sys.executable, "-m", "apprproxy", "serve", "--config", str(config))
    limit = ("sh", "-c", f'ulimit -n {files}; exec "$@"', "sh") if files else ()
    process = await asyncio.create_subprocess_exec(*limit, *command, stderr=asyncio.subprocess.PIPE)
    try:
        assert process.stderr is not None
        lines: list[dict[str, Any]] = []
        while not lines or lines[-1]["event"] != "serving":
            line = await asyncio.wait_for(process.stderr.readline(), 20)
            if line.startswith(b"{"):
                lines.append(json.loads(line))
        yield Running(process, lines[-1]["urls"], lines)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def serving_here(
    folder: Path, upstream: str, stop: asyncio.Event, *, grace: float, **keys: Any
) -> tuple[asyncio.Task[None], str]:
    """In this process, where the grace can be given: what serves until ``stop``, and its URL. ``keys`` are the
    upstream's."""
    settings = Settings.model_validate(
        {
            "server": {"listen": "127.0.0.1:0"},
            "cache": {"directory": str(folder / "cache")},
            "upstreams": {"hub": {"kind": "oci", "url": upstream, **keys}},
        }
    )
    urls: list[str] = []
    serving = asyncio.create_task(serve(build(settings), stop=stop, listening=urls.extend, grace=grace))
    await until(lambda: bool(urls))
    return serving, urls[0]


async def test_a_thread_that_computes_leaves_others_their_turn(tmp_path: Path) -> None:
    """As those do that take long documents apart. Whoever asks the disk, or the index, waits for a turn after each
    call, and again where the answer is wanted: a cold name does so some dozen times."""
    before, stop, computed = sys.getswitchinterval(), asyncio.Event(), threading.Event()
    serving, _ = await serving_here(tmp_path, "http://127.0.0.1:1", stop, grace=1)
    computing = threading.Thread(target=lambda: all(not done for done in iter(computed.is_set, True)))
    computing.start()
    try:
        waited = [await _call() for _ in range(50)]
    finally:
        computed.set()
        computing.join()
        stop.set()
        await serving
        sys.setswitchinterval(before)

    assert statistics.median(waited) < 0.005  # for that long the library lets one thread keep another waiting


async def _call() -> float:
    """Of something that takes the disk a tenth of a millisecond."""
    began = time.monotonic()
    await asyncio.to_thread(time.sleep, 0.0001)
    return time.monotonic() - began


async def test_a_running_transfer_is_finished_before_the_process_ends(tmp_path: Path) -> None:
    go_on, asked = asyncio.Event(), asyncio.Event()
    async with (
        slow_upstream(go_on, asked) as url,
        gateway(tmp_path, upstreams={"hub": {"kind": "oci", "url": url}}) as running,
        aiohttp.ClientSession() as client,
    ):
        pull = asyncio.create_task(_get(client, f"{running.urls[0]}/v2/hub/x/blobs/{DIGEST}"))
        await asked.wait()
        running.process.send_signal(signal.SIGTERM)
        while not any(line["event"] == "stopping" for line in running.lines):
            assert running.process.stderr is not None
            running.lines.append(json.loads(await running.process.stderr.readline()))
        go_on.set()
        body = await pull

        assert CONTENT == body
        assert 0 == await running.ended()


async def test_a_client_that_takes_for_ever_is_given_the_grace_once(tmp_path: Path) -> None:
    go_on, asked, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with slow_upstream(go_on, asked) as url, aiohttp.ClientSession() as client:
        serving, ours = await serving_here(tmp_path, url, stop, grace=1.0)
        pull = asyncio.create_task(client.get(f"{ours}/v2/hub/x/blobs/{DIGEST}"))
        await asked.wait()
        begun = time.monotonic()
        stop.set()
        await serving
        taken = time.monotonic() - begun
        await asyncio.gather(pull, return_exceptions=True)

    assert 0.9 < taken < 1.8


async def test_what_was_pushed_counts_although_its_client_left_and_the_gateway_was_stopped(tmp_path: Path) -> None:
    """Its upstream had taken it, and it would be refused as a move from the next start on."""
    package, now, stop = "/hub/cnr/api/v1/packages/alice/nginx", chart("1.0.0", "now"), asyncio.Event()
    body = {"release": "1.0.0", "media_type": "helm", "blob": base64.b64encode(packed(now)).decode()}
    async with running_upstream() as upstream, aiohttp.ClientSession() as client:
        upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0")))
        serving, ours = await serving_here(tmp_path, upstream.url, stop, grace=5, kind="appr", writes="pass")
        await _get(client, f"{ours}{package}/1.0.0/helm")
        upstream.gate, upstream.twist = Gate(), lambda _: Answer(200, b"{}")
        push = asyncio.create_task(client.post(f"{ours}{package}?force=true", json=body))
        await upstream.gate.reached()
        push.cancel()
        stop.set()
        ended, _ = await asyncio.wait([serving], timeout=0.2)
        upstream.gate.open()
        await serving
    names = DiskNames(tmp_path / "cache" / "names")
    seen = [first.pushed for _, _, first in names.all_first_seen()]
    names.close()

    assert not ended
    assert [Digest.of(now)] == seen


async def test_a_push_that_is_still_coming_is_taken_when_the_gateway_stops(tmp_path: Path, logged: Logged) -> None:
    """The library drops whatever else of a body comes from then on, and waits for the end of it."""
    package, stop = "/hub/cnr/api/v1/packages/alice/nginx", asyncio.Event()
    push = {"release": "1.0.0", "media_type": "helm", "blob": base64.b64encode(packed(chart("1.0.0"))).decode()}
    body = json.dumps(push).encode()

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:10]
        stop.set()
        await until(lambda: "stopping" in logged.text)
        for at in range(10, len(body)):
            yield body[at : at + 1]
            await asyncio.sleep(0)

    async with running_upstream() as upstream, aiohttp.ClientSession() as client:
        serving, ours = await serving_here(tmp_path, upstream.url, stop, grace=2, kind="appr", writes="pass")
        upstream.twist = lambda _: Answer(200, b"{}")
        async with client.post(f"{ours}{package}", data=slowly(), expect100=True) as answer:
            status, told = answer.status, await answer.read()
        await serving

    assert (200, b"{}") == (status, told)


@pytest.mark.parametrize(
    ("leaves", "outcome", "reason"),
    [(False, "broken-off", "this gateway stopped"), (True, "client-left", "the client left")],
    ids=["waits", "leaves"],
)
async def test_what_is_broken_off_after_the_grace_is_not_put_down_to_the_client(
    tmp_path: Path, logged: Logged, leaves: bool, outcome: str, reason: str
) -> None:
    go_on, asked, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with slow_upstream(go_on, asked) as url, aiohttp.ClientSession() as client:
        serving, ours = await serving_here(tmp_path, url, stop, grace=0.4)
        pull = asyncio.create_task(_get(client, f"{ours}/v2/hub/x/blobs/{DIGEST}"))
        await asked.wait()
        stop.set()
        await until(lambda: "stopping" in logged.text)
        if leaves:
            pull.cancel()
        await serving
        await asyncio.gather(pull, return_exceptions=True)
    lines = {line["event"]: line for line in map(json.loads, logged.text.splitlines())}

    assert (outcome, reason) == (lines["request"]["outcome"], lines["request"]["reason"])
    assert (None if leaves else 1) == lines["stopped"].get("broken_off")


async def test_ctrl_c_ends_without_a_traceback(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        os.kill(running.process.pid, signal.SIGINT)

        assert 0 == await running.ended()
        assert ["stopping", "stopped"] == [line["event"] for line in running.lines[-2:]]


@pytest.mark.parametrize("lost", ["names", "blobs"])
async def test_a_cache_that_was_carried_without_a_part_of_it_says_so(tmp_path: Path, lost: str) -> None:
    async with gateway(tmp_path) as running:
        running.process.send_signal(signal.SIGTERM)
        await running.ended()
    cache, upstreams = tmp_path / "cache", {"hub": {"kind": "oci", "url": "http://127.0.0.1:9"}}
    ledger, names = Ledger(cache, 1_000_000, time.time, lambda _: None), DiskNames(cache / "names")
    ledger.keep("x.part", DIGEST, 5, None)
    names.accept("hub", "a/b", "a/b@1/helm", FirstSeen(DIGEST, 1.0))
    names.close()
    ledger.close()
    (cache / "blobs" / "sha256" / DIGEST.hex).write_bytes(b"bytes")
    async with gateway(tmp_path, upstreams=upstreams) as running:
        running.process.send_signal(signal.SIGTERM)
        await running.ended()
        whole = [line["event"] for line in running.lines]
    shutil.rmtree(tmp_path / "cache" / lost)
    async with gateway(tmp_path, upstreams=upstreams) as running:
        running.process.send_signal(signal.SIGTERM)
        await running.ended()
        (told,) = [line["reason"] for line in running.lines if line["event"] == "the cache is not complete"]

    assert "the cache is not complete" not in whole
    assert f"{lost}/ " in told


async def test_a_gateway_that_stops_says_what_is_not_over(tmp_path: Path) -> None:
    async with gateway(tmp_path, upstreams={"hub": {"kind": "oci", "url": "http://127.0.0.1:9"}}) as running:
        async with aiohttp.ClientSession() as client, client.get(f"{running.urls[0]}/v2/hub/x/manifests/1") as answer:
            assert 502 == answer.status
        os.kill(running.process.pid, signal.SIGTERM)

        assert 0 == await running.ended()
        stopping, trouble, _ = running.lines[-3:]
    assert ("stopping", "SIGTERM", "trouble is not over") == (stopping["event"], stopping["signal"], trouble["event"])
    assert ("hub", 1) == (trouble["upstream"], trouble["times"])


async def test_a_process_that_a_signal_of_the_systems_ends_says_so(tmp_path: Path) -> None:
    """As where sqlite's shared memory is cut off by a copy that runs over it."""
    async with gateway(tmp_path, upstreams={"hub": {"kind": "oci", "url": "http://127.0.0.1:9"}}) as running:
        running.process.send_signal(signal.SIGBUS)
        assert running.process.stderr is not None
        said = await running.process.stderr.read()

    assert b"Fatal Python error: Bus error" in said


async def test_a_log_that_nobody_reads_holds_up_neither_clients_nor_the_end(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, aiohttp.ClientSession(running.urls[0]) as client, asyncio.timeout(60):
        for number in range(1000):
            assert 404 == (await client.get(f"/v2/nowhere/{'x' * 200}/manifests/{number}")).status
        running.process.send_signal(signal.SIGTERM)
        await until(lambda: running.process.returncode is not None)
        assert running.process.stderr is not None
        await running.process.stderr.read()

    assert 0 == running.process.returncode


async def test_a_gateway_that_is_asked_to_reload_goes_on_and_says_what_it_does(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, aiohttp.ClientSession() as client:
        running.process.send_signal(signal.SIGHUP)
        assert running.process.stderr is not None
        told = json.loads(await running.process.stderr.readline())
        alive = await _get(client, f"{running.urls[0]}/healthz")
        running.process.send_signal(signal.SIGTERM)

        assert "nothing is reloaded" in told["event"]
        assert (b"ok\n", 0) == (alive, await running.ended())


async def test_metrics_move_to_the_address_for_operators(tmp_path: Path) -> None:
    server = {"listen": "127.0.0.1:0", "ops": "127.0.0.1:0"}
    async with gateway(tmp_path, server=server) as running, aiohttp.ClientSession() as client:
        public, ops = running.urls
        statuses = [
            await _status(client, url)
            for url in (f"{public}/metrics", f"{public}/healthz", f"{public}/readyz", f"{ops}/metrics", f"{ops}/readyz")
        ]
        metrics = await _get(client, f"{ops}/metrics")
        clients, operators = await _get(client, f"{public}/"), await _get(client, f"{ops}/")

    assert (True, False) == (b"/v2/" in clients, b"/metrics" in clients), "a page says what its own address has"
    assert (False, True) == (b"/v2/" in operators, b"/metrics" in operators)
    assert [404, 200, 200, 200, 200] == statuses
    assert b"apprproxy_requests_total" in metrics


async def test_several_addresses_answer(tmp_path: Path) -> None:
    server = {"listen": ["127.0.0.1:0", "[::1]:0"]}
    async with gateway(tmp_path, server=server) as running, aiohttp.ClientSession() as client:
        answers = [await _get(client, f"{url}/healthz") for url in running.urls]

    assert [b"ok\n", b"ok\n"] == answers
    assert running.urls[1].startswith("http://[::1]:")


async def test_a_cache_that_cannot_be_written_serves_and_says_so(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, aiohttp.ClientSession() as client:
        (tmp_path / "cache" / "ingest").rename(tmp_path / "cache" / "elsewhere")
        async with client.get(f"{running.urls[0]}/readyz") as answer:
            text = await answer.text()
        alive = await _status(client, f"{running.urls[0]}/healthz")

    assert (200, 200) == (answer.status, alive)
    assert text.startswith("ok, but ")
    assert text.endswith("cannot be written, and so nothing is kept\n")


async def test_bytes_come_whole_over_tls(tmp_path: Path) -> None:
    go_on, asked = asyncio.Event(), asyncio.Event()
    go_on.set()
    cert, key = _certificate(tmp_path)
    server = {"listen": "127.0.0.1:0", "tls": {"cert": str(cert), "key": str(key)}}
    trust = ssl.create_default_context(cafile=str(cert))
    async with (
        slow_upstream(go_on, asked) as url,
        gateway(tmp_path, server=server, upstreams={"hub": {"kind": "oci", "url": url}}) as running,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as client,
    ):
        blob = f"{running.urls[0]}/v2/hub/x/blobs/{DIGEST}"
        cold, warm = await _get(client, blob), await _get(client, blob)
        part = await _get(client, blob, {"Range": "bytes=10-19"})

    assert running.urls[0].startswith("https://")
    assert (CONTENT, CONTENT, CONTENT[10:20]) == (cold, warm, part)


async def test_the_end_of_an_answer_is_not_cut_off_by_tls_when_the_gateway_stops(tmp_path: Path) -> None:
    content = some_bytes(400_000)

    async def blob(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=content)

    cert, key = _certificate(tmp_path)
    server = {"listen": "127.0.0.1:0", "tls": {"cert": str(cert), "key": str(key)}}
    trust = ssl.create_default_context(cafile=str(cert))
    async with (
        listening(blob) as url,
        gateway(tmp_path, server=server, upstreams={"hub": {"kind": "oci", "url": url}}) as running,
        wire(running.urls[0], limit=1000, window=4096, tls=trust) as client,
        wire(running.urls[0], tls=trust) as other,
    ):
        request = f"GET /v2/hub/x/blobs/{Digest.of(content)} HTTP/1.1\r\nHost: x\r\n\r\n"
        await other.send(request)
        await other.head()
        assert content == await other.reader.readexactly(len(content))
        await client.send(request)
        await client.head()
        await asyncio.sleep(0.3)  # as much of it as there is room for is on its way
        running.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        received = await client.reader.readexactly(len(content))
        await running.ended()

    assert content == received


async def test_who_does_not_begin_the_handshake_is_a_connection_like_any_other(tmp_path: Path) -> None:
    cert, key = _certificate(tmp_path)
    limits = {"connections": 4, "header": "1s"}
    server = {"listen": "127.0.0.1:0", "tls": {"cert": str(cert), "key": str(key)}, "limits": limits}
    trust = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(cert)))
    async with (
        gateway(tmp_path, server=server) as running,
        AsyncExitStack() as stack,
        aiohttp.ClientSession(connector=trust) as client,
    ):
        plain = running.urls[0].replace("https", "http")
        silent = [await stack.enter_async_context(wire(plain)) for _ in range(5)]
        too_many = await silent[4].rest()
        ended = await asyncio.gather(*(one.rest() for one in silent[:4]))
        served = await _get(client, f"{running.urls[0]}/healthz")
        running.process.send_signal(signal.SIGTERM)
        code = await running.ended()

    assert [b""] * 5 == [too_many, *ended]
    assert (b"ok\n", 0) == (served, code)
    assert [] == [line for line in running.lines if line["level"] == "error"]


async def _status(client: aiohttp.ClientSession, url: str) -> int:
    async with client.get(url) as answer:
        return answer.status


async def _get(client: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> bytes:
    async with client.get(url, headers=headers) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.read()


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Self-made, for 127.0.0.1."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


async def test_more_clients_than_there_are_descriptors_for_keep_nobody_out_for_long(tmp_path: Path) -> None:
    async with started(tmp_path, {}, files=256) as running, AsyncExitStack() as stack:
        (told,) = [line for line in running.lines if "connections" in line]
        for _ in range(300):
            await stack.enter_async_context(wire(running.urls[0]))
        async with wire(running.urls[0]) as refused:
            assert b"" == await refused.rest()
        await stack.aclose()
        async with aiohttp.ClientSession() as client:
            body = await _get(client, f"{running.urls[0]}/healthz")
            metrics = await _get(client, f"{running.urls[0]}/metrics")
        running.process.send_signal(signal.SIGTERM)
        await running.ended()

    assert b"ok\n" == body
    assert (4096, 64, 256) == (told["configured"], told["connections"], told["files"])
    first, rest = [line["closed"] for line in running.lines if "too many connections" in line["event"]]
    assert 1 == first
    assert 300 - 64 <= first + rest
    assert f'connections_refused_total{{reason="connections"}} {first + rest}.0\n' in metrics.decode()
    assert [] == [line for line in running.lines if line["level"] == "error"]


async def test_a_client_for_whom_there_is_no_descriptor_is_told_and_counted(tmp_path: Path) -> None:
    async with started(tmp_path, {}) as running:
        before = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        async with wire(running.urls[0]):
            assert running.process.stderr is not None
            while "no connection can be accepted" not in running.lines[-1]["event"]:  # others may lack files as well
                running.lines.append(json.loads(await asyncio.wait_for(running.process.stderr.readline(), 20)))
            resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, before)
        async with aiohttp.ClientSession() as client:
            metrics = await _get(client, f"{running.urls[0]}/metrics")

    assert 'connections_refused_total{reason="files"} 0.0\n' not in metrics.decode()
    assert 'connections_refused_total{reason="files"}' in metrics.decode()


async def test_many_clients_that_come_at_once_do_not_take_all_descriptors(tmp_path: Path) -> None:
    """They wait in line until the process gets to them, as on a machine that is busy."""
    async with started(tmp_path, {}, files=256) as running, AsyncExitStack() as stack:
        running.process.send_signal(signal.SIGSTOP)
        for _ in range(300):
            await stack.enter_async_context(wire(running.urls[0]))
        running.process.send_signal(signal.SIGCONT)
        async with wire(running.urls[0]) as refused:
            assert b"" == await refused.rest()
        running.process.send_signal(signal.SIGTERM)
        await running.ended()

    assert [] == [line for line in running.lines if line["level"] == "error"]


async def test_an_address_for_which_no_socket_can_be_made_is_told() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(CannotListen, match=r"^cannot listen on 127.0.0.1:0: no socket can be made"):
            await listen("127.0.0.1:0", asyncio.Protocol, "listen")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_what_goes_wrong_while_pulls_are_given_their_time_is_told_too(tmp_path: Path, logged: Logged) -> None:
    asked, go_on, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def fails(_: web.BaseRequest) -> web.StreamResponse:
        asked.set()
        await go_on.wait()
        return web.Response(status=503)

    async with listening(fails) as url, aiohttp.ClientSession() as client:
        serving, ours = await serving_here(tmp_path, url, stop, grace=2.0)
        pull = asyncio.create_task(_get(client, f"{ours}/v2/hub/x/manifests/1"))
        await asked.wait()
        stop.set()
        await until(lambda: "stopping" in logged.text)
        go_on.set()
        await serving
        await asyncio.gather(pull, return_exceptions=True)
    lines = [json.loads(line)["event"] for line in logged.text.splitlines()]

    assert ["stopping", "upstream trouble", "request", "trouble is not over", "stopped"] == lines[-5:]
