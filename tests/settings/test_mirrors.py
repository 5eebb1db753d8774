"""Mirrors in the configuration: what is not said of one is taken from its upstream, and what cannot be is named."""

import pytest
import yaml

from apprproxy.settings.mirror import Mirror
from apprproxy.settings.show import MASK, effective
from tests.settings.files import QUAY, SECRET, complaint, read, upstream


def mirrors(keys: str, above: str = "timeouts: {connect: 7s, read: 9s}") -> list[Mirror]:
    return read(upstream(f"{above}, mirrors: [{keys}]")).upstreams["quay.io"].full_mirrors


def appr(keys: str) -> str:
    return f"upstreams: {{old-quay: {{kind: appr, url: 'https://old', mirrors: [{keys}]}}}}"


def test_what_is_not_said_is_taken_from_the_upstream() -> None:
    [mirror] = mirrors("{url: 'http://a:5000'}")

    assert ("oci", 7.0, 9.0) == (mirror.kind, mirror.timeouts.connect, mirror.timeouts.read)
    assert (32, None) == (mirror.connections, mirror.prefix)


def test_what_is_said_holds() -> None:
    [mirror] = mirrors("{url: 'http://a', kind: static, timeouts: {connect: 1s}, connections: 3}")

    assert ("static", 1.0, 9.0, 3) == (mirror.kind, mirror.timeouts.connect, mirror.timeouts.read, mirror.connections)


def test_tls_and_proxy_are_the_upstreams_own() -> None:
    [mirror] = mirrors("{url: 'https://a'}", above="proxy: 'http://p:1', tls: {verify: false}")

    assert (None, True) == (mirror.proxy, mirror.tls.verify)


@pytest.mark.parametrize(
    ("path", "repositories"), [("", ""), ("/", ""), ("/quay.io", "quay.io"), ("/a/b__c/", "a/b__c")]
)
def test_the_path_of_an_oci_mirror_stands_before_its_repositories(path: str, repositories: str) -> None:
    [mirror] = mirrors(f"{{url: 'http://a{path}'}}")

    assert repositories == mirror.repositories


@pytest.mark.parametrize(("given", "prefix"), [("", "/cnr"), (", prefix: ''", ""), (", prefix: /x", "/x")])
def test_a_mirror_of_an_app_registry_has_a_prefix(given: str, prefix: str) -> None:
    [mirror] = read(appr(f"{{url: 'http://a/base'{given}}}")).upstreams["old-quay"].full_mirrors

    assert ("appr", prefix) == (mirror.kind, mirror.prefix)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            "{url: 'http://a', kind: static, sibling: true}",
            "mirror-1: sibling is for another gateway, and kind: static is none",
        ),
        ("{url: 'http://a', kind: appr}", "mirror-1: an upstream of kind: oci has mirrors of kind oci or static"),
        ("{url: 'http://a/Up'}", "mirror-1: the path of an OCI mirror stands before its repositories, and is none"),
        ("{url: 'http://a/x//y'}", "mirror-1: the path of an OCI mirror stands before its repositories, and is none"),
        ("{url: 'http://a/x%2Fy'}", "mirror-1: the path of an OCI mirror stands before its repositories, and is none"),
        ("{url: 'http://a/v2'}", "mirror-1: the path of an OCI mirror stands before its repositories: leave /v2 out"),
        ("{url: 'http://a', prefix: /cnr}", "mirror-1: prefix is for kind: appr only"),
        ("{url: 'http://a'}, {url: 'http://A:80/'}", "mirror-2: http://A:80 is mirror-1"),
        ("{url: 'http://b'}, {url: 'https://quay.io:443'}", "mirror-2: https://quay.io:443 is the upstream itself"),
    ],
)
def test_a_mirror_that_cannot_be_is_named_as_metrics_name_it(keys: str, said: str) -> None:
    assert f"upstreams.quay.io.mirrors: {said}" == complaint(upstream(f"mirrors: [{keys}]"))


@pytest.mark.parametrize("kind", ["oci", "helm"])
def test_a_mirror_of_an_app_registry_is_another_or_a_static_tree(kind: str) -> None:
    assert complaint(appr(f"{{url: 'http://a', kind: {kind}}}")).startswith("upstreams.old-quay.mirrors")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("{kind: oci}", "upstreams.quay.io.mirrors.0.url: is missing"),
        ("{url: 'http://a', kind: helm}", "upstreams.quay.io.mirrors.0.kind: must be 'oci', 'appr' or 'static'"),
        ("{url: 'ftp://a'}", "upstreams.quay.io.mirrors.0.url: not an http or https URL"),
        (
            "{url: 'http://a', fresh_for: 1s}",
            "upstreams.quay.io.mirrors.0.fresh_for: there is no such key; there are url, kind,"
            " prefix, timeouts, connections, proxy, tls, sibling",
        ),
        (
            "{url: 'http://a', timeouts: {name: 1s}}",
            "upstreams.quay.io.mirrors.0.timeouts.name: there is no such key; there are connect, read",
        ),
        ("{url: 'http://a', connections: 0}", "upstreams.quay.io.mirrors.0.connections: must be 1 or more"),
        ("{url: 'http://a', tls: {cert: a}}", "upstreams.quay.io.mirrors.0.tls: cert and key belong together"),
    ],
)
def test_what_is_wrong_with_a_mirror_is_told_with_the_path_of_its_key(keys: str, said: str) -> None:
    assert said == complaint(upstream(f"mirrors: [{keys}]"))


def test_a_mirror_has_no_account() -> None:
    said = complaint(upstream(f"mirrors: [{{url: 'http://a', auth: {{username: bot, password: {SECRET}}}}}]"))

    assert said == (
        "upstreams.quay.io.mirrors.0.auth: is not built yet: an account at a mirror; the upstream's own is never sent"
        " to one"
    )


def test_of_an_account_in_its_url_it_is_not_said_to_use_what_there_is_not() -> None:
    said = complaint(upstream(f"mirrors: [{{url: 'http://bot:{SECRET}@a'}}]"))

    assert said == (
        "upstreams.quay.io.mirrors.0.url: a URL with a user name in it would end up in logs; leave it out: a mirror"
        " gets no account"
    )


def test_mirrors_may_come_from_the_environment() -> None:
    settings = read(QUAY, {"APPRPROXY_UPSTREAMS__QUAY.IO__MIRRORS": '[{"url": "http://a"}]'})

    assert ["http://a"] == [mirror.url for mirror in settings.upstreams["quay.io"].mirrors]


def test_check_prints_what_is_in_force_and_masks_the_password_of_a_proxy() -> None:
    printed = effective(read(upstream(f"mirrors: [{{url: 'http://a', proxy: 'http://bot:{SECRET}@p:1'}}]")))
    [mirror] = yaml.safe_load(printed)["upstreams"]["quay.io"]["mirrors"]

    assert SECRET not in printed
    assert ("oci", {"connect": "5s", "read": "30s"}) == (mirror["kind"], mirror["timeouts"])
    assert f"http://bot:{MASK}@p:1" == mirror["proxy"]
    assert printed == effective(read(printed))
