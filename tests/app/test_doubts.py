"""What is hardly meant is told before a gateway starts with it; what may be meant is not."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from apprproxy.app import doubts
from apprproxy.settings import Settings
from tests.fakes.stranger import closed


def told(**sections: Any) -> list[str]:
    """Of a cache that any disk holds."""
    cache = {"max_size": "64MiB", **sections.pop("cache", {})}
    return list(doubts(Settings.model_validate({"upstreams": upstream(), **sections, "cache": cache})))


def upstream(**keys: Any) -> dict[str, Any]:
    return {"hub": {"kind": "oci", "url": "https://hub.example", **keys}}


def test_what_may_be_meant_is_not_told() -> None:
    assert [] == told()
    assert [] == told(delivery={"patience": "30s"}, cache={"directory": "a~/$b"})


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"upstreams": {}}, "upstreams: there are none, so that there is nothing to serve"),
        ({"delivery": {"patience": "5m"}}, "delivery.patience: 5m are longer than clients wait for a header"),
        ({"cache": {"memory": "9000TiB"}}, "cache.memory: 9216000.0 GiB are more than this machine has, "),
        ({"cache": {"directory": "~/x"}}, "cache.directory: ~/x is taken as it is written, below "),
        ({"cache": {"directory": "$HOME/x"}}, "cache.directory: $HOME/x is taken as it is written, below "),
    ],
)
def test_what_is_hardly_meant_is_told_by_its_key(sections: dict[str, Any], said: str) -> None:
    (one,) = told(**sections)

    assert one.startswith(said)


@pytest.mark.parametrize(("auths", "said"), [("{}", 1), ('{"hub.example": {"auth": "Ym90OnMzY3JldA=="}}', 0)])
def test_a_docker_config_without_an_account_for_the_host_is_doubtful(auths: str, said: int, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(f'{{"auths": {auths}}}')

    assert [
        f"upstreams.hub.auth.docker_config: {path} has no account for hub.example, so that none is used"
    ] * said == told(upstreams=upstream(auth={"docker_config": path}))


@pytest.mark.parametrize(("max_size", "said"), [("64MiB", False), ("900000TiB", True)])
def test_a_cap_that_the_disk_cannot_hold_is_doubtful(max_size: str, said: bool, tmp_path: Path) -> None:
    cache = {"directory": tmp_path / "not yet" / "made", "max_size": max_size}

    assert said == any(one.startswith("cache.max_size: ") for one in told(cache=cache))
    assert not (tmp_path / "not yet").exists()


def test_a_small_disk_is_told_in_units_of_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=40 * 1024**2))
    (one,) = told(cache={"directory": tmp_path})

    assert one.startswith(f"cache.max_size: 64 MiB are more than the whole disk of {tmp_path} has, 40 MiB: ")


@pytest.mark.parametrize(("offline", "held", "said"), [(True, False, 1), (True, True, 0), (False, False, 0)])
def test_who_asks_nobody_and_holds_nothing_is_doubtful(offline: bool, held: bool, said: int, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    if held:
        (blobs / ("0" * 64)).write_bytes(b"")
    there, not_made = (told(offline=offline, cache={"directory": path}) for path in (tmp_path, tmp_path / "not made"))

    assert said == len([one for one in there if one.startswith("offline: nobody is asked, and nothing is held in ")])
    assert offline == any(one.startswith("offline: ") for one in not_made)


def test_where_one_may_not_look_nothing_is_said_of_what_is_held(tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    (folder / "blobs" / "sha256").mkdir(parents=True)
    with closed(folder):
        said = told(offline=True, cache={"directory": folder})

    assert not [one for one in said if one.startswith("offline: ")]


@pytest.mark.parametrize("below", ["cache", "a" * 5000])
def test_where_one_may_not_look_nothing_is_said_of_the_disk(below: str, tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    with closed(folder):
        said = told(cache={"directory": folder / below, "max_size": "900000TiB"})

    assert not [one for one in said if one.startswith("cache.max_size: ")]


@pytest.mark.parametrize(
    ("keys", "doubtful"),
    [
        ({"url": "https://old.corp/cnr"}, True),
        ({"url": "https://old.corp/cnr", "prefix": ""}, False),
        ({"url": "https://old.corp/x"}, False),
    ],
)
def test_a_prefix_that_stands_in_the_url_as_well_is_doubtful(keys: dict[str, str], doubtful: bool) -> None:
    said = told(upstreams={"old": {"kind": "appr", **keys}})

    assert [
        "upstreams.old.url: /cnr is the prefix already, so that it is asked for at /cnr/cnr/api/v1/…; leave it out of"
        " url"
    ] * doubtful == said


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"prefix": "/cnr/api/v1"},
            "prefix: /api/v1 comes after the prefix already, so that it is asked for at /cnr/api/v1/",
        ),
        (
            {"url": "https://old.corp/api/v1/"},
            "url: /api/v1 comes after the prefix already, so that it is asked for at /api/v1/cnr",
        ),
    ],
)
def test_a_path_that_comes_by_itself_is_doubtful(keys: dict[str, str], said: str) -> None:
    (one,) = told(upstreams={"old": {"kind": "appr", "url": "https://old.corp", **keys}})

    assert one.startswith(f"upstreams.old.{said}")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"own": ["corp/*"], "deny": ["corp/*"]}, "is denied by corp/*"),
        ({"own": ["corp/app"], "deny": ["other", "c*"]}, "is denied by c*"),
        ({"own": ["corp/*"], "deny": ["corp/?"]}, ""),
        ({"own": ["corp/*"], "deny": ["corp/secret/*"]}, ""),
        ({"own": ["corp/*"], "allow": ["pub/*", "corpo/*"]}, "is in none of allow"),
        ({"own": ["corp/*"], "allow": ["pub/*", "corp/pub/*"]}, ""),
        ({"own": ["corp/pub/*"], "allow": ["corp/*"]}, ""),
        ({"own": ["*/app"], "allow": ["pub/*"]}, ""),
    ],
)
def test_what_is_owned_and_may_not_be_asked_for_is_doubtful(keys: dict[str, list[str]], said: str) -> None:
    upstreams = upstream(**keys)

    assert [f"upstreams.hub.own: {keys['own'][0]} {said}, so that nobody is asked for such names"] * bool(said) == told(
        upstreams=upstreams
    )


@pytest.mark.parametrize(("keys", "said"), [({}, 0), ({"cert": "/a.crt", "key": "/a.key"}, 1)])
def test_a_certificate_by_which_anybody_may_write_is_doubtful(keys: dict[str, str], said: int) -> None:
    found = told(upstreams={"old": {"kind": "appr", "url": "https://old.example", "writes": "pass", "tls": keys}})

    assert said == len(found)
    assert all(one.startswith("upstreams.old.tls.cert: clients write by it as well (writes: pass), ") for one in found)


@pytest.mark.parametrize(
    ("keys", "key"), [({"own": ["corp/*"], "allow": []}, "allow"), ({"deny": ["corp/*", "*"]}, "deny")]
)
def test_an_upstream_that_is_asked_for_nothing_is_doubtful(keys: dict[str, list[str]], key: str) -> None:
    (one,) = told(upstreams={"hub": {"kind": "oci", "url": "https://hub.corp", **keys}})

    assert one == f"upstreams.hub.{key}: it is asked for no name at all, and every client gets 403"


@pytest.mark.parametrize(
    ("host", "said"), [("docker.io", 1), ("hub.docker.com", 1), ("registry-1.docker.io", 0), ("index.docker.io", 0)]
)
def test_docker_hub_by_a_name_that_serves_no_images_is_doubtful(host: str, said: int) -> None:
    assert [
        f"upstreams.hub.url: at {host} there are pages and no registry; Docker Hub's is https://registry-1.docker.io"
    ] * said == told(upstreams=upstream(url=f"https://{host}"))


def test_a_view_without_members_is_doubtful() -> None:
    assert ["views.default: it has no members, so that there is nothing in it"] == told(views={"default": []})


@pytest.mark.parametrize("key", ["own", "allow", "deny"])
@pytest.mark.parametrize(
    ("pattern", "said"), [("hub/corp/*", 1), ("hub.example/corp/*", 1), ("corp/hub/*", 0), ("hub", 0)]
)
def test_a_pattern_with_its_upstream_in_front_is_doubtful(key: str, pattern: str, said: int) -> None:
    first = pattern.partition("/")[0]

    assert [
        f"upstreams.hub.{key}: {pattern} is for names that begin with {first}/ at that upstream itself; for"
        " /v2/hub/corp/* write corp/*"
    ] * said == told(upstreams=upstream(**{key: [pattern]}))
