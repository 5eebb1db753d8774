"""Accounts come from files, go to the host that they are for and to no other, and follow the files when they change."""

import base64
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.settings import BadConfiguration
from apprproxy.upstream.accounts import MAX_FILE, NoAccount, docker_account_of, fixed, from_file, password_of
from apprproxy.upstream.auth import Account
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.lock import Bearer, Password, basic
from tests.fakes.registry import Registry

SECRET = "hunter2-and-more"
BOT = Account("bot", SECRET)
TAG = "library/app/manifests/1.0"


def entry(account: Account = BOT) -> dict[str, str]:
    """As ``docker login`` writes it."""
    return {"auth": base64.b64encode(f"{account.username}:{account.password}".encode()).decode()}


def config(**auths: object) -> str:
    return json.dumps({"auths": auths, "credHelpers": {"gcr.io": "gcloud"}})


def only(host: str, account: Account = BOT) -> str:
    return config(**{host: entry(account)})


def rewrite(path: Path, text: str, stamp: int = 1) -> None:
    path.write_text(text)
    os.utime(path, (stamp, stamp))  # the clock of the file system may be too coarse to tell two writes apart


# --- whose account


@pytest.mark.parametrize("key", ["quay.io", "https://quay.io", "https://quay.io/v1/", "http://quay.io/v2/", "quay.io/"])
def test_a_host_is_found_however_it_is_written(key: str) -> None:
    assert BOT == docker_account_of("quay.io")(only(key))


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("quay.io", "quay.io.evil.test"),
        ("quay.io", "evil.test/quay.io"),
        ("quay.io", "notquay.io"),
        ("quay.io", "quay.io:5000"),
        ("quay.io", "*"),
        ("quay.io", "quay.io/namespace"),
        ("quay.io", ""),
        ("quay.io", "https://evil.test/https://quay.io"),
        ("quay.io:5000", "quay.io"),
        ("docker.io.evil.test", "docker.io"),
        ("docker.io", "hub.docker.io"),
    ],
)
def test_another_hosts_account_is_not_taken(host: str, key: str) -> None:
    assert docker_account_of(host)(only(key)) is None


@given(st.text(), st.text())
def test_an_account_is_only_for_the_host_that_its_key_names(host: str, key: str) -> None:
    assert docker_account_of(host)(only(key)) is None or host in key or "docker.io" in host


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io", "index.docker.io"])
def test_docker_hub_is_one_registry_by_three_names(host: str, key: str) -> None:
    text = config(**{"quay.io": entry(Account("other", "x")), key: entry()})

    assert BOT == docker_account_of(host, f"{host}:443")(text)


def test_a_user_and_a_password_may_stand_apart() -> None:
    assert BOT == docker_account_of("a")(config(a={"username": "bot", "password": SECRET, "auth": ""}))


def test_a_password_may_have_colons_and_any_letters() -> None:
    account = Account("bot", "a:b:é€")

    assert account == docker_account_of("a")(only("a", account))


@pytest.mark.parametrize("text", ["{}", '{"auths": {}}', '{"credsStore": "desktop"}', only("elsewhere.io")])
def test_without_an_entry_access_is_anonymous(text: str) -> None:
    assert docker_account_of("quay.io")(text) is None


def test_other_hosts_entries_need_not_be_readable() -> None:
    text = config(**{"quay.io": entry(), "gcr.io": {}, "b": None, "c": {"auth": "?"}})

    assert BOT == docker_account_of("quay.io")(text)


# --- files that are wrong


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a Docker config.json"),
        (f"password: {SECRET}", "not a Docker config.json"),
        (f'["{SECRET}"]', "not a Docker config.json"),
        (f'{{"auths": "{SECRET}"}}', "auths is no mapping"),
        (f'{{"auths": ["{SECRET}"]}}', "auths is no mapping"),
        ("[" * 100_000, "not a Docker config.json"),
        (" " * MAX_FILE + only("quay.io"), "not a Docker config.json"),
        (config(**{"quay.io": {"auth": f"{SECRET}!"}}), "auths['quay.io'].auth is not base64 of user:password"),
        (config(**{"quay.io": {"auth": "/w=="}}), "auths['quay.io'].auth is not base64 of user:password"),
        (config(**{"quay.io": {"auth": None}}), "auths['quay.io'].auth is not base64 of user:password"),
        (config(**{"quay.io": {}}), "auths['quay.io'] has no user and password"),
        (
            config(**{"quay.io": {"username": "\ud800", "password": SECRET}}),
            "auths['quay.io'] has characters that are none",
        ),
        (config(**{"quay.io": SECRET}), "auths['quay.io'] has no user and password"),
        (config(**{"quay.io": {"identitytoken": SECRET}}), "credential helpers and tokens are not read"),
        (config(**{"quay.io": {"auth": base64.b64encode(SECRET.encode()).decode()}}), "has no user and password"),
    ],
)
def test_what_is_wrong_is_said_without_secrets(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(NoAccount) as wrong:
        from_file(path, docker_account_of("quay.io"))

    assert str(wrong.value).startswith(f"{path}: ")
    assert said in str(wrong.value)
    assert SECRET not in str(wrong.value)
    assert wrong.value.__suppress_context__, "a traceback would show what the sentence leaves out"


@given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_no_text_fails_in_another_way(text: str) -> None:
    for value in (text, f'{{"auths": {text}}}', json.dumps({"auths": {"a": text}}), config(a={"auth": text})):
        with suppress(NoAccount):
            docker_account_of("a")(value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: path.write_bytes(b"\r\n"), "it is empty"),
        (lambda path: path.write_bytes(b"\xef\xbb\xbf\n"), "it is empty"),
        (lambda path: path.write_bytes(b"a\nb\n"), "it has more than one line"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    make(tmp_path / "x")
    with pytest.raises(NoAccount, match=rf"/x: {said}"):
        from_file(tmp_path / "x", password_of("bot"))


# --- files that change


@pytest.mark.parametrize(("text", "password"), [("a\n", "a"), ("a\r\n", "a"), (" a ", " a ")])
def test_a_password_file_holds_a_password(text: str, password: str) -> None:
    assert Account("bot", password) == password_of("bot")(text)


def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_a_password(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xef\xbb\xbfa\r\n")

    assert Account("bot", "a") == from_file(tmp_path / "password", password_of("bot"))()


def test_a_fixed_account_stays() -> None:
    assert fixed(BOT)() is BOT
    assert fixed(None)() is None


def test_a_file_is_read_again_when_it_changes_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "password"
    reads = []

    def read(text: str) -> Account:
        reads.append(text)
        return Account("bot", text)

    rewrite(path, "old")
    account = from_file(path, read)
    before = [account(), account()]
    rewrite(path, "new", stamp=2)
    after = [account(), account()]

    assert [Account("bot", "old")] * 2 + [Account("bot", "new")] * 2 == before + after
    assert ["old", "new"] == reads


def test_a_file_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    """As Kubernetes does it: another file of the same age and size under the same name."""
    path, new = tmp_path / "password", tmp_path / "new"
    rewrite(path, "old")
    account = from_file(path, password_of("bot"))
    rewrite(new, "new")
    new.replace(path)

    assert Account("bot", "new") == account()


@pytest.mark.parametrize("spoilt", [b"{", b"\xff", None], ids=["half written", "not UTF-8", "gone"])
def test_a_file_that_is_spoilt_meanwhile_changes_nothing(tmp_path: Path, spoilt: bytes | None) -> None:
    path = tmp_path / "config.json"
    rewrite(path, only("quay.io"))
    account = from_file(path, docker_account_of("quay.io"))
    if spoilt is None:
        path.unlink()
    else:
        path.write_bytes(spoilt)
    meanwhile = account()
    rewrite(path, only("quay.io", Account("bot", "rotated")), stamp=3)

    assert BOT == meanwhile
    assert Account("bot", "rotated") == account()


def test_a_file_that_is_deleted_later_is_told_of_once_each_time(tmp_path: Path) -> None:
    path, told = tmp_path / "password", list[str]()
    path.write_text("secret")
    account = from_file(path, password_of("bot"), told.append)
    path.unlink()
    deleted = [account(), account()]
    path.write_text("secret")
    account()
    path.unlink()
    account()

    assert [Account("bot", "secret")] * 2 == deleted
    assert [f"{path}: No such file or directory"] * 2 == told


def test_a_file_that_is_moved_away_and_back_is_told_of(tmp_path: Path) -> None:
    path, told = tmp_path / "password", list[str]()
    path.write_text("secret")
    account = from_file(path, password_of("bot"), lambda _: told.append("trouble"), lambda: told.append("read again"))
    away = path.rename(tmp_path / "away")
    account()
    away.rename(path)

    assert [Account("bot", "secret")] * 2 == [account(), account()]
    assert ["trouble", "read again"] == told


def test_a_password_file_that_is_being_written_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "password"
    rewrite(path, "old\n")
    account = from_file(path, password_of("bot"))
    rewrite(path, "", stamp=2)

    assert Account("bot", "old") == account()


def test_an_entry_that_is_taken_out_ends_the_account(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    rewrite(path, only("quay.io"))
    account = from_file(path, docker_account_of("quay.io"))
    rewrite(path, config(), stamp=2)

    assert account() is None


# --- in the gateway


def authority(registry: Registry) -> str:
    return registry.url.removeprefix("http://")


async def configured(gateways: Gateways, file: Path, **upstreams: Registry) -> Running:
    """Upstreams that share one Docker config."""
    auth = {"docker_config": file}
    return await gateways.start({name: oci(upstream, auth=auth) for name, upstream in upstreams.items()})


def presented(registry: Registry) -> set[str]:
    return {seen.headers["authorization"] for seen in registry.seen if "authorization" in seen.headers}


async def test_each_host_gets_its_own_account(
    registry: Registry, other: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    registry.lock, other.lock = Password(password="one"), Password(password="two")
    for upstream in (registry, other):
        upstream.push("library/app", "1.0", b"layer")
    accounts = {authority(registry): entry(Account("bot", "one")), authority(other): entry(Account("bot", "two"))}
    file = tmp_path / "config.json"
    file.write_text(config(**accounts))
    gateway = await configured(gateways, file, hub=registry, far=other)

    assert [200, 200] == [(await gateway.get(f"/v2/{name}/{TAG}")).status for name in ("hub", "far")]
    assert ({basic("bot", "one")}, {basic("bot", "two")}) == (presented(registry), presented(other))


async def test_a_host_without_an_account_gets_none(
    registry: Registry, other: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    other.lock = Password(password=SECRET)
    other.push("library/app", "1.0", b"layer")
    file = tmp_path / "config.json"
    file.write_text(config(**{authority(registry): entry(), "127.0.0.1": entry(), "localhost": entry()}))
    gateway = await configured(gateways, file, far=other)
    failed = await gateway.get(f"/v2/far/{TAG}")

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "without a credential; see auth" in failed.message
    assert set() == presented(other)


async def test_the_account_gets_tokens(gateways: Gateways, tmp_path: Path) -> None:
    async with Registry(Bearer(password=SECRET)) as registry:
        registry.push("library/app", "1.0", b"layer")
        file = tmp_path / "config.json"
        file.write_text(only(f"http://{authority(registry)}/v1/"))
        gateway = await configured(gateways, file, hub=registry)

        assert 200 == (await gateway.get(f"/v2/hub/{TAG}")).status


async def test_a_docker_config_that_changes_is_read_again(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    registry.lock = Password(password=SECRET)
    registry.push("library/app", "1.0", b"layer")
    registry.push("library/app", "2.0", b"layer")
    file = tmp_path / "config.json"
    rewrite(file, only(authority(registry)))
    gateway = await configured(gateways, file, hub=registry)
    before = await gateway.get(f"/v2/hub/{TAG}")
    registry.lock = Password(password="rotated")
    rewrite(file, only(authority(registry), Account("bot", "rotated")), stamp=2)
    after = await gateway.get("/v2/hub/library/app/manifests/2.0")

    assert (200, 200) == (before.status, after.status)
    assert 0 == gateway.metric("apprproxy_credential_failures_total")


@pytest.mark.parametrize(
    "url", ["https://quay.io", "https://quay.io:443", "https://QUAY.io", "https://registry-1.docker.io"]
)
async def test_a_host_with_its_default_port_is_the_host(gateways: Gateways, tmp_path: Path, url: str) -> None:
    """An entry that cannot be read tells that it was the one that was looked for."""
    file = tmp_path / "config.json"
    file.write_text(config(**{"quay.io": {}, "https://index.docker.io/v1/": {}}))
    with pytest.raises(BadConfiguration, match=r"^upstreams\.hub\.auth\.docker_config: .*auths\["):
        await gateways.start({"hub": {"url": url, "auth": {"docker_config": file}}})


@pytest.mark.parametrize("url", ["https://quay.io:444", "http://quay.io:443", "https://quay.io.evil.test"])
async def test_a_host_with_another_port_is_another_host(gateways: Gateways, tmp_path: Path, url: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(config(**{"quay.io": {}}))

    gateway = await gateways.start({"hub": {"url": url, "auth": {"docker_config": file}}})

    assert 200 == (await gateway.get("/v2/")).status, "the entry was not looked at"


@pytest.mark.parametrize("text", [None, f"not {SECRET}"], ids=["missing", "not JSON"])
async def test_a_docker_config_that_cannot_be_read_is_a_mistake_in_the_configuration(
    gateways: Gateways, tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "config.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadConfiguration, match=r"^upstreams\.hub\.auth\.docker_config: /.*config\.json: ") as wrong:
        await gateways.start({"hub": {"url": "http://127.0.0.1:1", "auth": {"docker_config": file}}})

    assert SECRET not in str(wrong.value)


# --- a client's own


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_logging_in_succeeds_and_the_password_goes_nowhere(
    registry: Registry, gateways: Gateways, logged: Logged, method: str, path: str
) -> None:
    """As ``docker login`` and ``helm registry login`` do it: the gateway has no accounts of its own."""
    content = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    theirs = basic("somebody", SECRET)
    login = await gateway.ask(method, path, Authorization=theirs)
    asked = registry.count()
    pulled = await gateway.get(f"/v2/hub/{TAG}", Authorization=theirs)

    assert (200, 0) == (login.status, asked)
    assert "WWW-Authenticate" not in login.headers
    assert content == pulled.body
    assert set() == presented(registry)
    assert SECRET not in logged.text
    assert theirs.removeprefix("Basic ") not in logged.text


async def test_a_clients_account_does_not_take_the_gateways_place(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    registry.lock = Password(password=SECRET)
    registry.push("library/app", "1.0", b"layer")
    file = tmp_path / "config.json"
    file.write_text(only(authority(registry)))
    gateway = await configured(gateways, file, hub=registry)

    assert 200 == (await gateway.get(f"/v2/hub/{TAG}", Authorization=basic("somebody", "wrong"))).status
    assert {basic("bot", SECRET)} == presented(registry)
