"""What the demo pulls: each subject is one thing a person would pull, walked from its name down to its last blob."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from apprproxy.demo.answer import Answer
from apprproxy.demo.client import Client
from apprproxy.demo.embedded import HUB, LIAR, OLD_QUAY

Walk = Callable[[Client], Awaitable[list[Answer]]]


@dataclass(frozen=True, slots=True)
class Subject:
    upstream: str
    title: str
    walk: Walk


def subjects() -> list[Subject]:
    return [
        *_oci(HUB, "demo", "tool"),
        _release("alice/nginx", "0.1.0", "helm"),
        _channel("alice/nginx", "stable", "helm"),
        _release("bob/app", "1.1.0", "docker-compose"),
        *_oci(LIAR, "other", "other"),
    ]


def _oci(upstream: str, chart: str, image: str) -> list[Subject]:
    charts, images = f"charts/{chart}", f"images/{image}"
    return [
        Subject(upstream, f"Helm chart {charts}:0.1.0", _tagged(f"/v2/{upstream}/{charts}", "0.1.0")),
        Subject(upstream, f"signature of {charts}:0.1.0", _signature(f"/v2/{upstream}/{charts}", "0.1.0")),
        Subject(upstream, f"image index {images}:1.0", _tagged(f"/v2/{upstream}/{images}", "1.0")),
    ]


def _tagged(repository: str, tag: str) -> Walk:
    async def walk(client: Client) -> list[Answer]:
        return await _manifest(client, repository, tag)

    return walk


async def _manifest(client: Client, repository: str, reference: str) -> list[Answer]:
    """A manifest and everything it names; of one that cannot be had, nothing more is known."""
    asked = reference if ":" in reference else None
    answer = await client.content("manifest", f"{repository}/manifests/{reference}", asked)
    answers = [answer]
    document = orjson.loads(answer.body) if answer.good else {}
    for child in document.get("manifests", []):
        answers += await _manifest(client, repository, child["digest"])
    for part, blob in _blobs(document):
        answers.append(await client.content(part, f"{repository}/blobs/{blob['digest']}", blob["digest"]))
    return answers


def _blobs(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    config = [("config", document["config"])] if "config" in document else []
    return config + [("layer", layer) for layer in document.get("layers", [])]


def _signature(repository: str, tag: str) -> Walk:
    """By the tag that stands in for the referrers API: the subject's digest, written as a tag."""

    async def walk(client: Client) -> list[Answer]:
        subject = await client.content("manifest", f"{repository}/manifests/{tag}")
        if not subject.good:
            return [subject]
        return await _manifest(client, repository, subject.digest.replace(":", "-"))

    return walk


_PACKAGES = f"/{OLD_QUAY}/cnr/api/v1/packages"


def _release(package: str, release: str, media_type: str) -> Subject:
    async def walk(client: Client) -> list[Answer]:
        return await _pull(client, package, release, media_type)

    return Subject(OLD_QUAY, f"package {package}@{release}", walk)


def _channel(package: str, name: str, media_type: str) -> Subject:
    async def walk(client: Client) -> list[Answer]:
        channel = await client.document("channel", f"{_PACKAGES}/{package}/channels/{name}")
        if not channel.good:
            return [channel]
        return [channel, *await _pull(client, package, orjson.loads(channel.body)["current"], media_type)]

    return Subject(OLD_QUAY, f"channel {package}:{name}", walk)


async def _pull(client: Client, package: str, release: str, media_type: str) -> list[Answer]:
    path = f"{_PACKAGES}/{package}/{release}/{media_type}"
    manifest = await client.document("release", path)
    if not manifest.good:
        return [manifest]
    digest = orjson.loads(manifest.body)["content"]["digest"]
    return [manifest, await client.package("package", f"{path}/pull", digest)]
