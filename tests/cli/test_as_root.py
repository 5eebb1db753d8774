"""Commands, and a gateway, that root runs on a cache of somebody else's: they do what that user could do, no more."""

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.fakes.content import digest, some_bytes
from tests.fakes.installed import Installed, gives, installed
from tests.fakes.registry import Registry
from tests.fakes.stranger import NOBODY

APP = "library/app"
TITLE = f"hub/{APP}:1.0"
SECRET = "root's own word\n"
STRANGE = "sha256/" + "0" * 64
LAYER = some_bytes(300_000)


@pytest.fixture
def program() -> Iterator[Installed]:
    with installed() as program:
        yield program


def configured(program: Installed, url: str = "http://127.0.0.1:9", **upstream: object) -> str:
    """Of root's, and for it alone."""
    path = program.folder / "apprproxy.yaml"
    path.touch(mode=0o600)
    hub = {"kind": "oci", "url": url, **upstream}
    path.write_text(yaml.safe_dump({"server": {"listen": "127.0.0.1:0"}, "upstreams": {"hub": hub}}))
    return str(path)


COMMANDS = [
    ("cache", "stats"),
    ("cache", "list"),
    ("cache", "verify", "--repair"),
    ("cache", "pin", "--fetch", TITLE),
    ("cache", "unpin", TITLE),
    ("cache", "purge", TITLE),
    ("names", "list"),
    ("names", "accept", TITLE),
    ("names", "show", TITLE),
    ("names", "lock", "--output", "lock", TITLE),
    ("search", "app"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_whatever_a_command_makes_is_the_caches_owners(words: tuple[str, ...], program: Installed) -> None:
    ran = program.runs(*words, APPRPROXY_CONFIG=configured(program))

    assert f"note: going on as nobody, whose {program.cache} is" == ran.stderr.splitlines()[0]
    assert "Traceback" not in ran.stderr
    assert {NOBODY} == program.owners()


def test_a_check_tries_all_as_the_gateway_will(program: Installed) -> None:
    (word := program.folder / "word").touch(mode=0o600)
    account = {"username": "robot", "password_file": str(word)}
    path = configured(program, "https://hub.example", auth=account)
    ran = program.runs("check", "--config", path)
    elsewhere = program.runs("check", "--elsewhere", "--config", path)

    assert (2, 0) == (ran.returncode, elsewhere.returncode)
    assert f"{word}: Permission denied" in ran.stderr
    assert "" == elsewhere.stderr


def linked(name: str) -> Callable[[Path, Path], None]:
    """To a file of root's."""

    def plant(cache: Path, elsewhere: Path) -> None:
        (cache / name).unlink(missing_ok=True)
        (cache / name).symlink_to(elsewhere / "secret")

    return plant


def led(name: str) -> Callable[[Path, Path], None]:
    """What was a folder is one of root's, that has what such a folder may have."""

    def plant(cache: Path, elsewhere: Path) -> None:
        if (cache / name).exists():
            (cache / name).rename(cache / "before")
        for made in (STRANGE, "0" * 64, "00.run", "00.new", ".hub.json-00", "00.part", "cache.db"):
            (elsewhere / made).parent.mkdir(exist_ok=True)
            (elsewhere / made).write_text(SECRET)
        (cache / name).symlink_to(elsewhere)
        (cache / "blobs" / "sha256" / "strange").touch()

    return plant


PLANTED = {
    **{f"file {name}": linked(name) for name in ("spare", "index.db", "names/generation", f"blobs/{STRANGE}")},
    **{f"folder {name}": led(name) for name in ("blobs/sha256", "ingest", "quarantine")},
}


def seen(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {path: path.stat() for path in (folder, *folder.rglob("*"))}
    return {
        str(path): (facts.st_uid, facts.st_mode, path.read_bytes() if path.is_file() else b"")
        for path, facts in found.items()
    }


@pytest.mark.parametrize("planted", PLANTED)
def test_root_is_not_led_out_of_the_cache(planted: str, program: Installed) -> None:
    """Its files are neither written, nor given away, nor moved, nor removed, nor read out."""
    (elsewhere := program.folder / "elsewhere").mkdir()
    (elsewhere / "secret").touch(mode=0o600)
    (elsewhere / "secret").write_text(SECRET)
    PLANTED[planted](program.cache, elsewhere)
    gives(program.cache)
    before = seen(elsewhere)
    for words in (("cache", "verify"), ("cache", "purge", "--all", "--yes")):
        ran = program.runs(*words)

        assert SECRET.strip() not in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr
    assert before == seen(elsewhere)


def test_a_link_in_somebodys_folder_makes_nobody_root(program: Installed) -> None:
    """Root would stay what it is for a cache of its own, and the link leads elsewhere by then."""
    (theirs := program.folder / "theirs").mkdir()
    (own := program.folder / "own").mkdir()
    (theirs / "named").symlink_to(own)
    gives(theirs)
    ran = program.runs(
        "search",
        "app",
        APPRPROXY_CACHE__DIRECTORY=str(theirs / "named"),
        APPRPROXY_CONFIG=configured(program),
    )

    assert 1 == ran.returncode
    assert [] == list(own.iterdir())
    assert f"note: going on as nobody, whose {theirs} is" == ran.stderr.splitlines()[0]
    assert f"{theirs}/named is root's, and this is nobody" in ran.stderr


async def test_a_lock_file_of_roots_is_written_all_the_same(program: Installed, registry: Registry) -> None:
    manifest = registry.push(APP, "1.0", LAYER)
    (program.folder / "etc").mkdir(mode=0o700)
    lock, path = program.folder / "etc" / "names.lock.json", configured(program, registry.url)
    ran = await asyncio.to_thread(program.runs, "names", "lock", "--config", path, "--output", str(lock), TITLE)

    assert f"added    {APP}:1.0  {digest(manifest)}\n" == ran.stdout
    assert f"note: going on as nobody, whose {program.cache} is\n" == ran.stderr
    assert (0, {f"{APP}:1.0": digest(manifest)}) == (lock.stat().st_uid, json.loads(lock.read_text())["names"])
    assert {NOBODY} == program.owners()


def test_how_locking_ended_there_is_how_it_ends(program: Installed) -> None:
    (word := program.folder / "word").touch(mode=0o600)
    path = configured(program, "https://hub.example", auth={"username": "robot", "password_file": str(word)})
    ran = program.runs("names", "lock", "--config", path, "--output", "lock", TITLE)

    assert (2, 2) == (ran.returncode, len(ran.stderr.splitlines()))
    assert f"{word}: Permission denied" in ran.stderr
    assert not (program.folder / "lock").exists()


async def test_a_gateway_serves_and_holds_as_the_caches_owner(program: Installed, registry: Registry) -> None:
    registry.push(APP, "1.0", LAYER)
    process = await asyncio.create_subprocess_exec(
        *program.command("serve", "--config", configured(program, registry.url)),
        cwd=program.folder,
        env=program.environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        lines = [json.loads(await asyncio.wait_for(process.stderr.readline(), 30)) for _ in range(2)]
        (url,) = lines[1]["urls"]
        async with aiohttp.ClientSession() as client:
            for path in ("manifests/1.0", f"blobs/{digest(LAYER)}"):
                async with client.get(f"{url}/v2/hub/{APP}/{path}") as answer:
                    body = await answer.read()
            async with client.get(f"{url}/metrics") as answer:
                metrics = await answer.text()
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        said = [json.loads(line) for line in (await process.stderr.read()).splitlines()]
        ended = await process.wait()

    assert ["going on as whom the cache belongs to", "serving"] == [line["event"] for line in lines]
    assert ("nobody", str(program.cache)) == (lines[0]["user"], lines[0]["path"])
    assert LAYER == body == (program.cache / "blobs" / "sha256" / digest(LAYER)[7:]).read_bytes()
    assert "process_open_fds" in metrics
    assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status
    assert "CapPrm:\t0000000000000000" in status
    assert (0, "stopped") == (ended, said[-1]["event"])
    assert {NOBODY} == program.owners()


def test_a_program_that_the_owner_may_not_read_is_not_begun(program: Installed) -> None:
    before = seen(program.cache)
    program.program.chmod(0o700)
    ran = program.runs("cache", "stats")

    assert (1, "") == (ran.returncode, ran.stdout)
    assert ran.stderr.startswith(f"error: {program.cache} is nobody's, and root touches nothing there itself; but ")
    assert f"may not read {program.program}/" in ran.stderr
    assert ran.stderr.endswith("not below /root, or run it as nobody\n")
    assert before == seen(program.cache)


def test_root_without_the_capability_goes_on_as_it_is(program: Installed) -> None:
    ran = program.runs("cache", "stats", before="setpriv --bounding-set=-setuid")

    assert (0, "") == (ran.returncode, ran.stderr)
