"""A configuration file: what is in it holds, and what is wrong with it is told with the path of its key."""

from pathlib import Path

import pytest

from apprproxy.settings import BadConfiguration, Settings, load
from apprproxy.settings.load import MAX_DEPTH, MAX_FILE
from apprproxy.settings.model import RESERVED
from tests.settings.files import QUAY, SECRET, complaint, read, upstream


def test_without_a_file_the_defaults_hold() -> None:
    assert Settings() == load(None, {})


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n", "\ufeff"])
def test_an_empty_file_says_nothing_against_the_defaults(text: str) -> None:
    assert Settings() == read(text)


def test_what_the_file_says_holds() -> None:
    settings = read("server: {listen: '[::1]:99'}\ncache: {memory: 5MiB}\n" + upstream("fresh_for: 5m"))

    assert ["[::1]:99"] == settings.server.addresses
    assert 5 * 1024**2 == settings.cache.memory
    assert 300 == settings.upstreams["quay.io"].fresh_for


# --- a key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nope: 1", "nope: there is no such key; there are server, cache, delivery, offline, upstreams, views"),
        ("cache: {dir: /x}", "cache.dir: there is no such key; did you mean directory?"),
        ("server: {port: 8080}", "server.port: there is no such key; did you mean listen?"),
        ("cache: {directroy: x}", "cache.directroy: there is no such key; did you mean directory?"),
        ("servr: {}", "servr: there is no such key; did you mean server?"),
        ("Cache: {memory: 1B}", "Cache: there is no such key; did you mean cache?"),
        ("UPSTREAMS: {}", "UPSTREAMS: there is no such key; did you mean upstreams?"),
        ("cache: {memory: 1B}\nCache: {memory: 2B}", "Cache: there is no such key; did you mean cache?"),
        ("cache: {MEMORY: 1B}", "cache.MEMORY: there is no such key; did you mean memory?"),
        ("server: {limits: {headers: 1s}}", "server.limits.headers: there is no such key; did you mean header?"),
        ("server: {tls: {cert: a, key: b, kye: c}}", "server.tls.kye: there is no such key; did you mean key?"),
        ("views: {v: {members: [a], host: [b]}}", "views.v.host: there is no such key; did you mean hosts?"),
        (upstream("mirror: []"), "upstreams.quay.io.mirror: there is no such key; did you mean mirrors?"),
        (upstream("auht: {}"), "upstreams.quay.io.auht: there is no such key; did you mean auth?"),
        (upstream("fresh: 1s"), "upstreams.quay.io.fresh: there is no such key; did you mean fresh_for?"),
        (
            upstream("timeouts: {total: 1s}"),
            "upstreams.quay.io.timeouts.total: there is no such key; there are connect, read, name, revalidate",
        ),
        (upstream("something: 1s"), "upstreams.quay.io.something: there is no such key"),
        ("upstreams: {a: {url: 'https://a'}}", "upstreams.a.kind: is missing"),
        ("upstreams: {a: {kind: oci}}", "upstreams.a.url: is missing"),
    ],
)
def test_an_unknown_or_missing_key_is_named_by_its_path(text: str, said: str) -> None:
    assert said == complaint(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("server: {workers: 2}", "server.workers"),
        (upstream("mirrors: [{url: 'http://a', auth: {username: bot}}]"), "upstreams.quay.io.mirrors.0.auth"),
        ("upstreams: {a: {kind: helm, url: 'https://a'}}", "upstreams.a.kind"),
    ],
)
def test_a_key_whose_feature_is_not_built_yet_is_refused_by_name(text: str, path: str) -> None:
    said = complaint(text)

    assert said.startswith(f"{path}: ")
    assert "not built yet" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (upstream("fresh_for: 60"), "upstreams.quay.io.fresh_for: not a duration: 60; write 500ms, 10s"),
        (upstream("fresh_for: 1 week"), "upstreams.quay.io.fresh_for: not a duration: '1 week'; write 500ms, 10s"),
        (upstream("connections: 0"), "upstreams.quay.io.connections: must be 1 or more"),
        (upstream("connections: many"), "upstreams.quay.io.connections: must be a whole number"),
        (upstream("moved: perhaps"), "upstreams.quay.io.moved: must be 'follow' or 'refuse'"),
        (upstream("redirects: minio.corp"), "upstreams.quay.io.redirects: must be a list"),
        (upstream("timeouts: {connect: 0s}"), "upstreams.quay.io.timeouts.connect: must be more than 0s"),
        (upstream("proxy: 'socks5://a'"), "upstreams.quay.io.proxy: not an http or https URL"),
        (upstream("proxy: 'http://[]@'"), "upstreams.quay.io.proxy: not an http or https URL"),
        (upstream("prefix: /cnr"), "upstreams.quay.io: prefix is for kind: appr only"),
        (upstream("tls: {cert: a}"), "upstreams.quay.io.tls: cert and key belong together"),
        (upstream("names: locked"), "upstreams.quay.io: names: locked needs lock_file; `apprproxy names lock` writes"),
        (upstream("lock_file: a"), "upstreams.quay.io: lock_file is for names: locked only"),
        (upstream("names: perhaps"), "upstreams.quay.io.names: must be 'trust', 'locked' or 'refuse'"),
        (upstream("own: corp"), "upstreams.quay.io.own: must be a list: put it in brackets"),
        (upstream("own: "), "upstreams.quay.io.own: is empty; give it a value, or leave it out"),
        ("upstreams: {a: {kind: oci, url: }}", "upstreams.a.url: is empty; give it a value, or leave it out"),
        (
            upstream("deny: ['[a-z]*']"),
            "upstreams.quay.io.deny.0: not a pattern of repository or package names: '[a-z]*'",
        ),
        (
            "upstreams: {a: {kind: appr, url: 'https://a', names: refuse, writes: pass}}",
            "upstreams.a: writes: pass needs names: trust",
        ),
        (
            "upstreams: {a: {kind: oci, url: 'https://a', own: ['corp/*']},"
            " b: {kind: oci, url: 'https://b', own: ['corp/*']}}",
            "upstreams.b.own: corp/* is owned by a already",
        ),
        (upstream("fresh_for: 1", name="function-x"), "upstreams.function-x.fresh_for: not a duration"),
        ("server: {limits: {header: 0s}}", "server.limits.header: must be more than 0s"),
        ("server: {listen: 8080}", "server.listen: not an address: 8080; write 127.0.0.1:8080"),
        ("server: {listen: [8080]}", "server.listen.0: not an address: 8080; write 127.0.0.1:8080"),
        ("server: {listen: nowhere}", "server.listen: not an address: 'nowhere'; write 127.0.0.1:8080"),
        ("server: {listen: '127.0.0.1:99999'}", "server.listen: not an address"),
        ("server: {listen: ['127.0.0.1:1', x]}", "server.listen.1: not an address: 'x'"),
        ("server: {listen: []}", "server.listen: must not be empty"),
        ("server: {listen: ['[::1]:1', '[::1]:1']}", "server: [::1]:1 stands twice"),
        ("server: {listen: '127.0.0.1:1', ops: '127.0.0.1:1'}", "server: 127.0.0.1:1 stands twice"),
        ("server: 5", "server: must be a section"),
        ("server:", "server: is empty; give it a key, or leave it out"),
        ("cache: {memory: 5MB}", "cache.memory: not a size: '5MB'; write 512B"),
        ("cache: {max_size: 20GB}", "cache.max_size: not a size: '20GB'; write 512B"),
        ("cache: {max_size: 63MiB}", "cache.max_size: must be 64MiB or more"),
        ("cache: {directory: ''}", "cache.directory: must not be empty"),
        ("server: {tls: }", "server.tls: is empty; give it a key, or leave it out"),
        ("server: {ops: }", "server.ops: is empty; give it a value, or leave it out"),
        ("server: {listen: }", "server.listen: is empty; give it a value, or leave it out"),
        ("nope:", "nope: there is no such key"),
        *(
            (upstream(f"{key}: "), f"upstreams.quay.io.{key}: is empty; give it a value, or leave it out")
            for key in ("proxy", "lock_file", "moved", "gone", "prefix", "fresh_for")
        ),
        (upstream("auth: "), "upstreams.quay.io.auth: is empty; give it a key, or leave it out"),
        (upstream("ns: [~]"), "upstreams.quay.io.ns.0: is empty; give it a value, or leave it out"),
        (upstream("tls: {ca_file: }"), "upstreams.quay.io.tls.ca_file: is empty; give it a value, or leave it out"),
        (upstream("mirrors: [{url: 'http://m', proxy: }]"), "upstreams.quay.io.mirrors.0.proxy: is empty; give it a"),
        ("offline: perhaps", "offline: must be true or false"),
        ("upstreams: [quay.io]", "upstreams: must be a section"),
        ("upstreams: {quay.io: }", "upstreams.quay.io: is empty"),
        (
            "upstreams: {a: 'https://a'}",
            "upstreams.a: must be a section of keys and values, such as {kind: …, url: …}",
        ),
        (
            upstream("mirrors: ['http://m']"),
            "upstreams.quay.io.mirrors.0: must be a section of keys and values, such as {url: …}",
        ),
        (
            upstream("proxy: 'proxy.corp:3128'"),
            "upstreams.quay.io.proxy: not an http or https URL; write http://proxy.",
        ),
    ],
)
def test_a_value_that_cannot_be_is_told_with_the_path_of_its_key(text: str, said: str) -> None:
    assert complaint(text).startswith(said)
    assert "\n" not in complaint(text), "one fault is one line"


def test_every_key_without_a_value_is_told() -> None:
    said = complaint("server:\n  tls:\n    cert:\n    key:\n  ops:\n")

    assert ["server.tls.cert", "server.tls.key", "server.ops"] == [line.partition(":")[0] for line in said.splitlines()]


def test_a_password_without_a_value_is_not_asked_for_in_the_file() -> None:
    said = complaint(upstream("auth: {username: bot, password: }"))

    assert said.startswith("upstreams.quay.io.auth.password: give password_file in the file")
    assert "empty" not in said


def test_a_variable_gives_no_value_to_a_key_that_the_file_leaves_without_one() -> None:
    assert complaint(upstream("proxy: "), {"APPRPROXY_UPSTREAMS__QUAY.IO__PROXY": "http://proxy.corp"}) == (
        "upstreams.quay.io.proxy: is empty; give it a value, or leave it out"
    )


def test_all_that_is_wrong_is_told_at_once() -> None:
    said = complaint("offline: perhaps\ncache: {memory: 1, max_size: 1MiB}\n" + upstream("fresh_for: 1, x: 2"))

    assert [
        "cache.max_size",
        "cache.memory",
        "offline",
        "upstreams.quay.io.fresh_for",
        "upstreams.quay.io.x",
    ] == sorted(line.partition(":")[0] for line in said.splitlines())


# --- names and places


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_the_gateways_own_paths_are_no_names(name: str) -> None:
    assert f"upstreams: {name!r} is taken: it is a path of the gateway's own" == complaint(upstream("", name=name))
    assert complaint(QUAY + f"views: {{{name}: [quay.io]}}").startswith(f"views: {name!r} is taken")


@pytest.mark.parametrize("name", ["Quay", "a/b", ".a", "-a", "ä", "a_b", "'a b'", "a" * 64, "''"])
def test_a_name_must_stand_in_a_path(name: str) -> None:
    assert f"upstreams: {name.strip(chr(39))!r} is no name" in complaint(upstream("", name=name))


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ("default: [nope]", "views.default: there is no upstream 'nope'"),
        ("default: [quay.io, quay.io]", "views.default: a member stands twice"),
        ("quay.io: [quay.io]", "views.quay.io: an upstream has that name already"),
        ("default: quay.io", "views.default: must be a list, such as [quay.io]"),
    ],
)
def test_a_view_names_upstreams_that_there_are(view: str, said: str) -> None:
    assert said == complaint(QUAY + f"views: {{{view}}}")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"https://bot:{SECRET}@quay.io", "a URL with a user name in it would end up in logs; use auth"),
        ("https://token@quay.io", "a URL with a user name in it would end up in logs; use auth"),
        ("ftp://quay.io", "not an http or https URL"),
        ("quay.io", "not an http or https URL; write https://quay.io"),
        ("quay.corp:5000/x", "not an http or https URL; write https://quay.corp:5000/x"),
        ("docker://quay.io", "not an http or https URL; write https://quay.io"),
        (f"bot:{SECRET}", "not an http or https URL"),
        (f"bot:{SECRET}@quay.io", "not an http or https URL"),
        ("https://", "not an http or https URL"),
        ("https://[]@", "not an http or https URL"),
        ("https://quay.io:99999/x", "there is no port 99999"),
        ("https://quay.io?x=1", "a base URL has neither query nor fragment"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, said: str) -> None:
    assert f"upstreams.a.url: {said}" == complaint(f"upstreams: {{a: {{kind: oci, url: '{url}'}}}}")


def test_a_blank_beside_a_url_is_no_part_of_it() -> None:
    settings = read("upstreams: {a: {kind: oci, url: ' https://quay.io/ '}}")

    assert "https://quay.io" == settings.upstreams["a"].url


# --- hosts that it may lead to


@pytest.mark.parametrize("host", ["minio.corp", "minio.corp:9000", "s3_a", "10.0.0.1", "[::1]", "[fd00::1]:9000"])
def test_a_host_that_an_upstream_may_lead_to_is_taken_as_it_is_compared(host: str) -> None:
    assert [host] == read(upstream(f"redirects: ['{host}']")).upstreams["quay.io"].redirects


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("http://10.0.0.1:9000/", "not a host, or a host and its port; write 10.0.0.1:9000"),
        ("https://Minio.Corp/bucket", "not a host, or a host and its port; write minio.corp"),
        ("minio.corp/bucket", "not a host, or a host and its port; write minio.corp"),
        ("https://[0:0::1]:9000", "not a host, or a host and its port; write [::1]:9000"),
        (f"https://bot:{SECRET}@minio.corp", "not a host, or a host and its port; write minio.corp"),
        ("Minio.Corp", "write minio.corp for 'Minio.Corp', as it is compared"),
        ("::1", "not a host, or a host and its port: '::1'; write [::1]"),
        ("bücher.corp", "not a host, or a host and its port: 'bücher.corp'; write xn--bcher-kva.corp"),
        ("*.corp", "not a host, or a host and its port: '*.corp'; patterns are not taken: write each host by itself"),
        ("10.0.0.0/8", "not a host, or a host and its port; networks are not taken: write each host by itself"),
        ("minio.corp:443x", "not a host, or a host and its port: 'minio.corp:443x'"),
        ("minio.corp:99999", "not a port: 99999"),
        ("https://", "not a host, or a host and its port"),
        ("//[]@", "not a host, or a host and its port"),
        ("", "not a host, or a host and its port: ''"),
    ],
)
def test_a_host_that_could_fit_none_is_refused_with_what_to_write(host: str, said: str) -> None:
    account = "username: bot, password_file: /x"

    assert f"upstreams.quay.io.redirects.0: {said}" == complaint(upstream(f"redirects: ['{host}']"))
    assert f"upstreams.quay.io.auth.realms.0: {said}" == complaint(upstream(f"auth: {{{account}, realms: ['{host}']}}"))


# --- hosts that clients may name


def test_an_upstream_answers_for_the_hosts_it_claims() -> None:
    settings = read(upstream("ns: [quay.io, 'quay.corp:5000', 127.0.0.1]"))

    assert ["quay.io", "quay.corp:5000", "127.0.0.1"] == settings.upstreams["quay.io"].ns


@pytest.mark.parametrize(
    "host",
    [
        "Quay.io",
        "https://quay.io",
        "quay.io/",
        "quay.io:",
        "quay.io:123456",
        "'*'",
        "*.quay.io",
        "''",
        "-a",
        "a.",
        "a b",
    ],
)
def test_what_is_no_host_cannot_be_claimed(host: str) -> None:
    said = complaint(upstream(f'ns: ["{host.strip(chr(39))}"]'))

    assert said.startswith("upstreams.quay.io.ns: not a host, or a host and its port, in lower case: ")


def test_a_host_is_claimed_by_one_upstream() -> None:
    one, two = (f"{name}: {{kind: oci, url: 'https://{name}', ns: [docker.io]}}" for name in ("a", "b"))

    assert "upstreams.b.ns: docker.io is claimed by a already" == complaint(f"upstreams: {{{one}, {two}}}")


def test_hosts_are_for_one_kind_only() -> None:
    said = complaint("upstreams: {a: {kind: appr, url: 'https://a', ns: [a]}}")

    assert "upstreams.a: ns is for kind: oci only" == said


def test_hosts_may_come_from_the_environment() -> None:
    settings = read(QUAY, {"APPRPROXY_UPSTREAMS__QUAY.IO__NS": '["quay.io"]'})

    assert ["quay.io"] == settings.upstreams["quay.io"].ns


# --- accounts

SHARED = "auth: {username: bot, password_file: /run/secrets/quay, share: true}"
OWN = "auth: {username: bot, password_file: /run/secrets/quay}"


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "'[::]:8080'", "192.0.2.1:80", "gateway.corp:80"])
def test_an_account_is_not_lent_to_others_unknowingly(listen: str) -> None:
    said = complaint(f"server: {{listen: {listen}}}\n" + upstream(OWN))

    assert said.startswith("upstreams.quay.io.auth: the gateway listens on ")
    assert "everyone who reaches it would read what 'bot' may read" in said
    assert "share: true" in said


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "'[::1]:8080'", "localhost:8080", "['127.0.0.1:1', '[::1]:1']"])
def test_on_loopback_an_account_needs_no_permission(listen: str) -> None:
    settings = read(f"server: {{listen: {listen}}}\n" + upstream(OWN))

    assert settings.upstreams["quay.io"].auth is not None


def test_an_account_may_be_shared_knowingly() -> None:
    settings = read("server: {listen: '0.0.0.0:8080'}\n" + upstream(SHARED))

    assert settings.upstreams["quay.io"].auth is not None


def test_one_address_beyond_loopback_is_enough_to_ask() -> None:
    said = complaint("server: {listen: ['127.0.0.1:1', '192.0.2.1:1']}\n" + upstream(OWN))

    assert "listens on 192.0.2.1:1" in said


@pytest.mark.parametrize(
    "auth", ["username: bot", f"username: bot, password: {SECRET}, password_file: /run/secrets/quay"]
)
def test_an_account_has_one_password(auth: str) -> None:
    said = complaint(upstream(f"auth: {{{auth}}}"))

    assert "upstreams.quay.io.auth: give either password_file or, in the environment, " in said
    assert "APPRPROXY_UPSTREAMS__QUAY.IO__AUTH__PASSWORD (which no shell exports: env 'APPRPROXY_" in said


def test_a_variable_that_a_shell_exports_is_told_alone() -> None:
    said = complaint(upstream("auth: {username: bot}", name="hub"))

    assert said.endswith(" in the environment, APPRPROXY_UPSTREAMS__HUB__AUTH__PASSWORD")


@pytest.mark.parametrize("more", ["username: bot", f"password: {SECRET}", "password_file: /run/secrets/quay"])
def test_a_docker_config_stands_alone(more: str) -> None:
    said = complaint(upstream(f"auth: {{docker_config: /etc/docker/config.json, {more}}}"))

    assert "upstreams.quay.io.auth: docker_config has the user name and the password in it" in said


def test_a_docker_configs_account_is_not_lent_to_others_unknowingly_either() -> None:
    keys = "docker_config: /etc/docker/config.json"
    said = complaint("server: {listen: '0.0.0.0:8080'}\n" + upstream(f"auth: {{{keys}}}"))
    shared = read("server: {listen: '0.0.0.0:8080'}\n" + upstream(f"auth: {{{keys}, share: true}}"))

    assert "would read what the account in /etc/docker/config.json may read" in said
    assert shared.upstreams["quay.io"].auth is not None


@pytest.mark.parametrize("auth", ["{}", "share: true", "realms: []", "{realms: [auth.quay.io], share: true}"])
def test_an_account_is_somebodys(auth: str) -> None:
    said = complaint(upstream(f"auth: {{{auth.strip('{}')}}}"))

    assert "upstreams.quay.io.auth: give a username with password_file, or docker_config; or realms alone" == said


def test_a_token_realm_can_be_named_without_an_account_which_nobody_need_share() -> None:
    settings = read("server: {listen: '0.0.0.0:8080'}\n" + upstream("auth: {realms: [auth.quay.io]}"))

    assert settings.upstreams["quay.io"].account is None


def test_a_password_in_the_file_is_refused() -> None:
    said = complaint(upstream(f"auth: {{username: bot, password: {SECRET}}}"))

    assert said.startswith("upstreams.quay.io.auth.password: give password_file in the file; in the environment, APPR")


# --- the file itself


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"- a\n- b\n", "the file is not a mapping of keys"),
        (b"just a sentence\n", "the file is not a mapping of keys"),
        (b"1: 2\n", "line 1: a key is text, and 1 is none in YAML; put it in quotes"),
        (b"upstreams:\n  no: {}\n", "line 2: a key is text, and no is none in YAML; put it in quotes"),
        (b"upstreams: {null: {}}\n", "line 1: a key is text, and null is none in YAML; put it in quotes"),
        (b"? [a]\n: 1\n", "line 1: a key is text, and a list or a section is none in YAML"),
        (b"offline: [\n", "line 2: not YAML"),
        (b"server:\n\tlisten: x\n", "a tab stands there, and YAML is indented by blanks"),
        (b"a: 1\nb: \t- x: [}\n", "line 2: not YAML"),
        (b"offline: true\x00\n", "control characters are not allowed"),
        (b'cache: {directory: "a\\0b"}\n', "line 1: a NUL character, which no value has"),
        (b"offline: false\n---\noffline: true\n", "not YAML"),
        (b"cache: &it {memory: 5MiB}\n", "line 1: anchors and aliases are not taken"),
        (b"offline: true\ncache: *it\n", "line 2: anchors and aliases are not taken"),
        (
            b"deny: [*-dev]\n",
            "line 1: anchors and aliases are not taken: text that begins with * or & is put in quotes",
        ),
        (b"deny: [*]\n", "line 1: not YAML: text that begins with * or & is put in quotes"),
        (b"deny:\n- */app\n", "line 2: not YAML: text that begins with * or & is put in quotes"),
        (b"offline: true\ncache: {}\noffline: false\n", "line 3: offline is given twice"),
        (b"cache:\n  memory: 1B\n  memory: 2B\n", "line 3: memory is given twice"),
        (b"offline: !!python/object/apply:os.getcwd []\n", "line 1: not YAML"),
        (b"offline: 2001-99-99\n", "month must be in"),
        (b"offline: !!map [1]\n", "line 1: not YAML: expected a mapping node"),
        (b"offline: !!bool perhaps\n", "not of the kind that its tag says"),
        (b"offline: !!int ''\n", "not of the kind that its tag says"),
        (b"offline: !!float ''\n", "not of the kind that its tag says"),
        (b"offline: !!timestamp today\n", "not of the kind that its tag says"),
        (b"offline: " + b"[" * 50_000 + b"]" * 50_000, "line 1: nested too deeply"),
        (b"#" * (MAX_FILE + 1), f"larger than {MAX_FILE} bytes"),
    ],
)
def test_what_is_no_configuration_file_is_refused_in_one_line(content: bytes, said: str) -> None:
    told = complaint(content)

    assert "apprproxy.yaml: " in told
    assert said in told
    assert "\n" not in told


def test_brackets_are_taken_as_deep_as_any_key_needs() -> None:
    assert (
        complaint("x: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
        == "x: there is no such key; there are server, cache, delivery, offline, upstreams, views"
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"missing\.yaml: No such file or directory"):
        load(tmp_path / "missing.yaml", {})


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="Is a directory"):
        load(tmp_path, {})
