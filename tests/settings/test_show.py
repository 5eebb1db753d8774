"""What `apprproxy check` prints: everything that is in force, and no secret."""

import pytest
import yaml

from apprproxy.settings import Settings
from apprproxy.settings.show import MASK, effective
from tests.settings.files import QUAY, SECRET, read, upstream

FULL = """
server:
  listen: ['127.0.0.1:1', '[::1]:2']
  ops: 127.0.0.1:3
  tls: {cert: a.crt, key: a.key}
cache: {directory: /var/lib/apprproxy, memory: 5MiB}
delivery: {patience: 1500ms}
upstreams:
  quay.io:
    kind: oci
    url: https://quay.io
    fresh_for: 0s
    auth: {username: bot, password_file: /run/secrets/quay, realms: [auth.corp]}
    redirects: [minio.corp]
    names: locked
    lock_file: names.lock.json
    allow: ['corp/*', library/app]
    deny: [corp/secret]
    own: ['corp/*']
  old-quay: {kind: appr, url: 'https://old-quay.internal/base/', prefix: '', writes: pass}
views: {default: [quay.io, old-quay]}
"""

PASSWORD = "APPRPROXY_UPSTREAMS__QUAY.IO__AUTH__PASSWORD"


@pytest.mark.parametrize("text", ["", QUAY, FULL])
def test_what_is_printed_is_a_configuration_that_says_the_same(text: str) -> None:
    printed = effective(read(text))

    assert printed == effective(read(printed))


def test_defaults_are_printed_too_as_people_write_them() -> None:
    printed = yaml.safe_load(effective(Settings()))

    assert "128MiB" == printed["cache"]["memory"]
    assert "10s" == printed["delivery"]["patience"]
    assert {"header": "10s", "idle": "75s", "stall": "1m", "connections": 4096} == printed["server"]["limits"]


@pytest.mark.parametrize(
    ("kind", "moved", "gone", "prefix"), [("oci", "follow", "follow", None), ("appr", "refuse", "keep", "/cnr")]
)
def test_defaults_that_depend_on_the_kind_are_printed(kind: str, moved: str, gone: str, prefix: str | None) -> None:
    [printed] = yaml.safe_load(effective(read(f"upstreams: {{a: {{kind: {kind}, url: 'https://a'}}}}")))[
        "upstreams"
    ].values()

    assert (moved, gone, prefix) == (printed["moved"], printed["gone"], printed.get("prefix"))


@pytest.mark.parametrize("password", [SECRET, "12345678"])
def test_a_password_is_masked_whatever_its_length(password: str) -> None:
    printed = effective(read(upstream("auth: {username: bot}"), {PASSWORD: password}))

    assert password not in printed
    assert MASK == yaml.safe_load(printed)["upstreams"]["quay.io"]["auth"]["password"]


def test_the_password_of_a_proxy_is_masked() -> None:
    printed = effective(read(upstream(f"proxy: 'http://bot:{SECRET}@proxy.corp:3128'")))

    assert SECRET not in printed
    assert f"http://bot:{MASK}@proxy.corp:3128" == yaml.safe_load(printed)["upstreams"]["quay.io"]["proxy"]


def test_the_path_of_a_password_file_is_no_secret() -> None:
    assert "/run/secrets/quay" in effective(read(FULL))


def test_settings_in_a_traceback_hide_their_passwords() -> None:
    settings = read(upstream("auth: {username: bot}"), {PASSWORD: SECRET})

    assert SECRET not in repr(settings)
