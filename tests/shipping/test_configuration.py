"""The configuration files that are shipped: they work, and the commented one tells the truth about every key."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from apprproxy.settings import Settings, load
from apprproxy.settings.upstream import Upstream
from tests.shipping.command import checked

CONFIG = Path(__file__).parents[2] / "config"
COMMENTED = CONFIG / "apprproxy.yaml"
NOT_SHOWN = {"upstreams.*.auth.password"}
"""Explained in words: in a file it would be read by whoever reads the file."""


@pytest.mark.parametrize("path", [COMMENTED, CONFIG / "image.yaml"], ids=lambda path: path.name)
def test_it_passes_the_check(path: Path) -> None:
    ran = checked("--config", str(path))

    assert 0 == ran.exit_code, ran.output


def test_it_serves_quay_and_docker_hub_on_loopback() -> None:
    settings = load(COMMENTED, {})

    assert ["127.0.0.1:8080"] == settings.server.addresses
    assert ["quay.io", "docker.io"] == settings.default_view("oci")
    assert not any(upstream.auth for upstream in settings.upstreams.values())


def test_what_it_shows_as_a_default_is_the_default() -> None:
    shown, plain = load(COMMENTED, {}), Settings()
    quay = shown.upstreams["quay.io"]

    assert (plain.server, plain.cache, plain.delivery, plain.offline) == (
        shown.server,
        shown.cache,
        shown.delivery,
        shown.offline,
    )
    assert quay == Upstream(kind="oci", url="https://quay.io")


def test_every_line_that_can_be_uncommented_works(tmp_path: Path) -> None:
    settings = load(_uncommented(tmp_path), {})

    assert "127.0.0.1:9090" == settings.server.ops
    assert settings.upstreams["quay.io"].auth is not None
    assert "appr" == settings.upstreams["old-quay"].kind


def test_every_key_that_is_built_is_shown(tmp_path: Path) -> None:
    shown = set(_shown(yaml.safe_load(_uncommented(tmp_path).read_text())))
    built = set(_built(Settings))

    assert built - shown == NOT_SHOWN
    assert shown - built == set()


def test_the_images_configuration_is_where_its_port_and_volume_are() -> None:
    settings = load(CONFIG / "image.yaml", {})

    assert ["0.0.0.0:8080"] == settings.server.addresses
    assert Path("/var/lib/apprproxy") == settings.cache.directory
    assert load(COMMENTED, {}).upstreams == settings.upstreams


def _uncommented(folder: Path) -> Path:
    """Lines without a space after the hash are settings to uncomment."""
    path = folder / "uncommented.yaml"
    path.write_text(re.sub(r"^( *)#(?=[^ \n])", r"\1", COMMENTED.read_text(), flags=re.MULTILINE))
    return path


def _shown(content: dict[str, Any], above: str = "") -> Iterator[str]:
    """Paths of keys, with a star for the names that are the operator's to choose. A view's list is its members."""
    for key, value in content.items():
        path = f"{above}{'*' if above in {'upstreams.', 'views.'} else key}"
        sections = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]
        for section in sections:
            yield from _shown(section, f"{path}.")
        if not sections:
            yield "views.*.members" if path == "views.*" else path


def _built(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        named = "*." if name in {"upstreams", "views"} and not above else ""
        if inner is not None:
            yield from _built(inner, f"{above}{name}.{named}")
        else:
            yield f"{above}{name}.{named}".removesuffix(".")


def _section(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section(inner)) is not None), None)
