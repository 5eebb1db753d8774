"""A name is read as its upstream speaks; of one that is configured no longer, as it is spelled."""

import pytest

from apprproxy.core.errors import Malformed
from apprproxy.settings import Settings
from apprproxy.upkeep.title import parse
from tests.fakes.content import digest

SETTINGS = Settings.model_validate(
    {"upstreams": {"hub": {"kind": "oci", "url": "http://hub"}, "old": {"kind": "appr", "url": "http://old"}}}
)
DIGEST = digest(b"a manifest")


@pytest.mark.parametrize(
    ("name", "protocol", "repository"),
    [
        ("hub/library/app:1.0", "oci", "library/app"),
        (f"hub/library/app@{DIGEST}", "oci", "library/app"),
        ("old/alice/nginx@1.0/helm", "appr", "alice/nginx"),
        ("away/library/app:1.0", "oci", "library/app"),
        ("away/alice/nginx@1.0/helm", "appr", "alice/nginx"),
    ],
)
def test_a_name_says_whose_it_is(name: str, protocol: str, repository: str) -> None:
    assert parse(name) == parse(name, SETTINGS)
    assert (protocol, repository) == (parse(name).protocol, parse(name).repository)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("old/alice/nginx:stable", "a channel only leads to a release: write old/alice/nginx@RELEASE/FORMAT"),
        ("old/alice/nginx", "'alice/nginx' has no release: write old/alice/nginx@RELEASE/FORMAT"),
        ("old/alice/nginx@1.0", "name the format as well: old/alice/nginx@1.0/helm"),
        (f"old/alice/nginx@{DIGEST}", "not a release: 'sha256:"),
        ("hub/alice/nginx@1.0/helm", "'alice/nginx@1.0/helm' is no tag: write REPOSITORY:TAG"),
        ("hub/alice/nginx@1.0", "'alice/nginx@1.0' is no tag: write REPOSITORY:TAG"),
    ],
)
def test_what_its_upstream_does_not_know_is_told_with_what_to_write(name: str, said: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(name, SETTINGS)

    assert str(refused.value).startswith(said)
