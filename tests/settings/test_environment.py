"""The environment: every key can be set by a variable, which wins over the file, and a variable that sets nothing is a
mistake."""

import pytest

from apprproxy.settings import load
from tests.settings.files import QUAY, SECRET, complaint, read, upstream

QUAYS = "APPRPROXY_UPSTREAMS__QUAY.IO"


def test_a_variable_sets_a_key() -> None:
    assert 5 * 1024**2 == load(None, {"APPRPROXY_CACHE__MEMORY": "5MiB"}).cache.memory


def test_the_environment_wins_over_the_file_and_leaves_the_rest() -> None:
    settings = read(
        "cache: {memory: 1MiB, directory: /kept}\n" + upstream("fresh_for: 1s, stale_for: 2s"),
        {"APPRPROXY_CACHE__MEMORY": "5MiB", f"{QUAYS}__FRESH_FOR": "5m"},
    )

    assert 5 * 1024**2 == settings.cache.memory
    assert "/kept" == str(settings.cache.directory)
    assert (300, 2) == (settings.upstreams["quay.io"].fresh_for, settings.upstreams["quay.io"].stale_for)


def test_an_upstream_may_come_from_the_environment_alone() -> None:
    settings = load(None, {"APPRPROXY_UPSTREAMS__HUB__KIND": "oci", "APPRPROXY_UPSTREAMS__HUB__URL": "https://hub"})

    assert "https://hub" == settings.upstreams["hub"].url


@pytest.mark.parametrize(
    ("value", "addresses"),
    [("127.0.0.1:99", ["127.0.0.1:99"]), ('["127.0.0.1:1", "[::1]:2"]', ["127.0.0.1:1", "[::1]:2"])],
)
def test_lists_are_json(value: str, addresses: list[str]) -> None:
    assert addresses == load(None, {"APPRPROXY_SERVER__LISTEN": value}).server.addresses


def test_numbers_switches_lists_and_sections_are_read_as_in_the_file() -> None:
    settings = read(
        QUAY,
        {
            "APPRPROXY_OFFLINE": "true",
            "APPRPROXY_VIEWS__DEFAULT": '["quay.io"]',
            "APPRPROXY_SERVER__LIMITS__CONNECTIONS": "7",
            f"{QUAYS}__REDIRECTS": '["minio.corp"]',
            f"{QUAYS}__TIMEOUTS": '{"connect": "1s"}',
        },
    )
    quay = settings.upstreams["quay.io"]

    assert settings.offline
    assert ["quay.io"] == settings.views["default"].members
    assert 7 == settings.server.limits.connections
    assert ["minio.corp"] == quay.redirects
    assert (1, 30) == (quay.timeouts.connect, quay.timeouts.read)


@pytest.mark.parametrize("password", [SECRET, "12345", "true", "null", '{"a": 1}', '["a"]', "[", "a__b"])
def test_a_password_is_taken_as_it_is(password: str) -> None:
    settings = read(QUAY, {f"{QUAYS}__AUTH__USERNAME": "7", f"{QUAYS}__AUTH__PASSWORD": password})
    auth = settings.upstreams["quay.io"].auth

    assert auth is not None
    assert auth.password is not None
    assert ("7", password) == (auth.username, auth.password.get_secret_value())


def test_a_password_that_was_not_filled_in_is_refused() -> None:
    said = complaint(QUAY, {f"{QUAYS}__AUTH__USERNAME": "bot", f"{QUAYS}__AUTH__PASSWORD": ""})

    assert f"upstreams.quay.io.auth.password: must not be empty (in the environment: {QUAYS}__AUTH__PASSWORD)" == said


def test_a_section_that_only_variables_begin_is_told_with_them() -> None:
    cert = complaint(QUAY, {"APPRPROXY_SERVER__TLS__CERT": "x"})
    far = complaint(QUAY, {"APPRPROXY_UPSTREAMS__FAR__TIMEOUTS__READ": "5m", "APPRPROXY_UPSTREAMS__FAR__KIND": "oci"})

    assert "server.tls.key: is missing (in the environment: APPRPROXY_SERVER__TLS__CERT)" == cert
    assert (
        "upstreams.far.url: is missing"
        " (in the environment: APPRPROXY_UPSTREAMS__FAR__KIND, APPRPROXY_UPSTREAMS__FAR__TIMEOUTS__READ)"
    ) == far


def test_a_dot_that_a_shell_does_not_take_is_guessed_at() -> None:
    said = complaint(QUAY, {"APPRPROXY_UPSTREAMS__QUAY_IO__FRESH_FOR": "5m"})
    given = (
        "(in the environment: APPRPROXY_UPSTREAMS__QUAY_IO__FRESH_FOR; did you mean APPRPROXY_UPSTREAMS__QUAY.IO__…?)"
    )

    assert [f"upstreams.quay_io.{key}: is missing {given}" for key in ("kind", "url")] == said.splitlines()


def test_a_section_that_the_file_begins_is_told_as_the_files() -> None:
    said = complaint("upstreams: {a: {kind: oci}}", {"APPRPROXY_UPSTREAMS__A__FRESH_FOR": "5m"})

    assert "upstreams.a.url: is missing" == said


def test_a_variable_for_no_key_is_refused() -> None:
    given = {"CACHE_MAX_SIZE": "5MiB", "CACHEMEMORY": "5MiB", "HOME": "/root", "OFLINE": "true"}
    said = complaint(QUAY, {f"APPRPROXY_{name}": value for name, value in given.items()})

    assert [
        "APPRPROXY_CACHEMEMORY: there is no key 'cachememory'; did you mean APPRPROXY_CACHE__MEMORY?",
        "APPRPROXY_CACHE_MAX_SIZE: there is no key 'cache_max_size'; did you mean APPRPROXY_CACHE__MAX_SIZE?",
        "APPRPROXY_HOME: there is no key 'home'",
        "APPRPROXY_OFLINE: there is no key 'ofline'; did you mean APPRPROXY_OFFLINE?",
    ] == said.splitlines()


@pytest.mark.parametrize("name", ["APPRPROXY_CONFIG", "APPRPROXY_PEERS", "PATH", "XAPPRPROXY_NOPE"])
def test_variables_that_are_no_keys_are_left_alone(name: str) -> None:
    assert load(None, {}) == load(None, {name: "whatever"})


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("APPRPROXY_CACHE__MEMORY", "5MB", "cache.memory: not a size: '5MB'; write "),
        ("APPRPROXY_CACHE__MEMROY", "5MiB", "cache.memroy: there is no such key"),
        ("APPRPROXY_CACHE__MAX_SIZE", "5MiB", "cache.max_size: must be 64MiB or more"),
        ("APPRPROXY_SERVER__OPS", "null", "server.ops: not an address: 'null'"),
        ("APPRPROXY_CACHE__DIRECTORY", "", "cache.directory: must not be empty"),
        (f"{QUAYS}__FRESH_FOR", "60", "upstreams.quay.io.fresh_for: not a duration: '60'"),
        ("APPRPROXY_VIEWS__DEFAULT", "quay.io", "views.default: must be a list"),
    ],
)
def test_a_bad_value_is_told_with_its_key_and_its_variable(variable: str, value: str, said: str) -> None:
    told = complaint(QUAY, {variable: value})

    assert told.startswith(said)
    assert told.endswith(f" (in the environment: {variable})")


@pytest.mark.parametrize(
    "variable", ["APPRPROXY_UPSTREAMS", "APPRPROXY_SERVER", "APPRPROXY_SERVER__LIMITS", f"{QUAYS}__REDIRECTS"]
)
@pytest.mark.parametrize("value", [f"{SECRET} [", "[" * 100_000], ids=["no JSON", "deep"])
def test_a_list_or_section_that_is_no_json_names_its_variable(variable: str, value: str) -> None:
    said = complaint(QUAY, {variable: value, "APPRPROXY_OFFLINE": "true"})

    assert f'{variable}: a list or a section is written as JSON, such as ["quay.io"]' == said


@pytest.mark.parametrize("variable", ["SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_8080_TCP_ADDR", "OPS_SERVICE_HOST"])
def test_what_kubernetes_adds_is_refused_with_the_remedy(variable: str) -> None:
    assert "enableServiceLinks: false" in complaint(QUAY, {f"APPRPROXY_{variable}": "10.0.0.1"})
