"""What the demo's OCI registry holds: charts, images for two platforms, signatures; and what the mirror lies about."""

import orjson

from apprproxy.demo.archive import archive
from apprproxy.demo.charts import chart, metadata
from apprproxy.demo.repository import Descriptor, Repository

_CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_EMPTY = "application/vnd.oci.empty.v1+json"
_SIGNATURE = "application/vnd.example.signature.v1+json"


def repositories() -> dict[str, Repository]:
    """By name. ``other`` is what is asked of the mirror: what the gateway holds already it would not ask for."""
    return {
        **{f"charts/{name}": _signed_chart(name) for name in ("demo", "other")},
        **{f"images/{name}": _image(name) for name in ("tool", "other")},
    }


def lies(held: dict[str, Repository]) -> frozenset[str]:
    """The digests for which the mirror sends other bytes: a chart's archive, its signature, an image's index."""
    charts, images = held["charts/other"], held["images/other"]
    chart_manifest = orjson.loads(charts.manifests[charts.tags["0.1.0"]])
    (fallback,) = (digest for tag, digest in charts.tags.items() if tag.startswith("sha256-"))
    signature = orjson.loads(charts.manifests[fallback])["manifests"][0]
    return frozenset({chart_manifest["layers"][0]["digest"], signature["digest"], images.tags["1.0"]})


def _signed_chart(name: str) -> Repository:
    repository = Repository()
    config = repository.blob(_CHART_CONFIG, orjson.dumps(metadata(name, "0.1.0")))
    content = repository.blob(_CHART, chart(name, "0.1.0").packed)
    manifest = repository.manifest(config, [content], "0.1.0")
    _sign(repository, manifest)
    return repository


def _sign(repository: Repository, subject: Descriptor) -> None:
    """A manifest with a ``subject``, found by its tag (distribution specification, "Referrers Tag Schema")."""
    statement = {"signed": subject["digest"], "by": "the apprproxy demo, which is no signature worth its name"}
    content = repository.blob(_SIGNATURE, orjson.dumps(statement))
    empty = repository.blob(_EMPTY, b"{}")
    signature = repository.manifest(empty, [content], subject=subject, artifactType=_SIGNATURE)
    repository.index([{**signature, "artifactType": _SIGNATURE}], subject["digest"].replace(":", "-"))


def _image(name: str) -> Repository:
    repository = Repository()
    platforms = [{"os": "linux", "architecture": architecture} for architecture in ("amd64", "arm64")]
    manifests = [{**_platform(repository, name, platform), "platform": platform} for platform in platforms]
    repository.index(manifests, "1.0")
    return repository


def _platform(repository: Repository, name: str, platform: dict[str, str]) -> Descriptor:
    files = archive({f"usr/bin/{name}": f"#!/bin/sh\necho {name} for {platform['architecture']}\n"})
    rootfs = {"type": "layers", "diff_ids": [str(files.unpacked_digest)]}
    config = repository.blob(_IMAGE_CONFIG, orjson.dumps({**platform, "rootfs": rootfs, "config": {}}))
    return repository.manifest(config, [repository.blob(_LAYER, files.packed)])
