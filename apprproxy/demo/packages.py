"""What the demo's App Registry holds, and the JSON in which appr-server tells of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apprproxy.demo.archive import Archive, archive
from apprproxy.demo.charts import chart

_CREATED = "2017-09-22T10:00:00.000000"


@dataclass(frozen=True, slots=True)
class Package:
    """``releases`` have the highest first, which is the default; ``format`` is the short media type."""

    name: str
    format: str
    releases: Mapping[str, Archive]
    channels: Mapping[str, str] = field(default_factory=dict)

    def listed(self) -> dict[str, Any]:
        releases = list(self.releases)
        return {
            "name": self.name,
            "default": releases[0],
            "releases": releases,
            "manifests": [self.format],
            "visibility": "public",
            "created_at": _CREATED,
        }

    def manifest(self, release: str) -> dict[str, Any]:
        content = self.releases[release]
        return {
            "package": self.name,
            "release": release,
            "mediaType": f"application/vnd.appr.package-manifest.{self.format}.v0.json",
            "content": {
                "mediaType": f"application/vnd.appr.package.{self.format}.v0.tar+gzip",
                "digest": content.unpacked_digest.hex,
                "size": len(content.packed),
                "urls": [],
            },
            "metadata": None,
            "created_at": _CREATED,
        }

    def channel(self, name: str) -> dict[str, Any]:
        return {"name": name, "current": self.channels[name], "releases": [self.channels[name]]}


def packages() -> dict[str, Package]:
    """By name. The channel does not point at the newest release, so that one can tell what was pulled."""
    charts = {release: chart("nginx", release) for release in ("0.3.0", "0.2.0", "0.1.0")}
    nginx = Package("alice/nginx", "helm", charts, {"stable": "0.2.0"})
    compose = {release: _compose(release) for release in ("1.1.0", "1.0.0")}
    return {package.name: package for package in (nginx, Package("bob/app", "docker-compose", compose))}


def _compose(release: str) -> Archive:
    return archive({"docker-compose.yml": f"services: {{app: {{image: 'example.org/app:{release}'}}}}\n"})
