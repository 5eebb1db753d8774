"""What the genuine registries hold, brought there by the genuine clients."""

import json
from pathlib import Path

from tests.peers.clients import run
from tests.peers.layout import write_layout
from tests.peers.process import Process, get

SIGNATURE = "application/vnd.example.signature"
SBOM = "application/spdx+json"
LARGE = 4 * 1024 * 1024


def fill_oci(server: Process, folder: Path) -> dict[str, str]:
    """charts/demo 0.1.0, images/multi 1.0 (an index), artifacts/thing 1.0 and referrers; returns digests by name."""
    package = chart(folder / "demo", "demo", "0.1.0")
    run("helm3", "package", str(package), start=folder).ok()
    run("helm3", "push", "demo-0.1.0.tgz", f"oci://{server.host}/charts", "--plain-http", start=folder).ok()
    layout = write_layout(folder / "layout")
    for tag in ("1.0", "1.1"):
        run("crane", "push", "--insecure", "--index", str(layout), f"{server.host}/images/multi:{tag}").ok()
    return fill_artifact(server, folder)


def fill_large(server: Process, folder: Path) -> dict[str, str]:
    """images/large 1.0, an index whose images share a layer of 4 MiB; artifacts/large 1.0, with that layer alone."""
    layout = write_layout(folder / "layout", LARGE)
    run("crane", "push", "--insecure", "--index", str(layout), f"{server.host}/images/large:1.0").ok()
    blobs = layout / "blobs" / "sha256"
    layer = max(blobs.iterdir(), key=lambda path: path.stat().st_size).name
    artifact = (f"{server.host}/artifacts/large:1.0", f"{layer}:application/vnd.example.large")
    run("oras", "push", "--plain-http", "--no-tty", *artifact, start=blobs).ok()
    return {"layer": layer}


def fill_artifact(server: Process, folder: Path, *login: str) -> dict[str, str]:
    """artifacts/thing 1.0, its signature, and its SBOM, which is signed too."""
    work = folder / "artifact"
    work.mkdir()
    (work / "thing.txt").write_text("a thing\n" * 1000)
    (work / "thing.sig").write_text("signed\n")
    (work / "thing.json").write_text('{"spdxVersion": "SPDX-2.3"}\n')
    (work / "sbom.sig").write_text("signed as well\n")
    formed = ("--plain-http", "--format", "json", *login)

    def attach(kind: str, subject: str, file: str) -> str:
        attached = run("oras", "attach", *formed, "--artifact-type", kind, subject, file, start=work).ok()
        digest: str = json.loads(attached.out)["digest"]
        return digest

    repository = f"{server.host}/artifacts/thing"
    pushed = run("oras", "push", *formed, f"{repository}:1.0", "thing.txt:text/plain", start=work).ok()
    thing = json.loads(pushed.out)["digest"]
    signature = attach(SIGNATURE, f"{repository}@{thing}", "thing.sig")
    sbom = attach(SBOM, f"{repository}@{thing}", "thing.json")
    return {
        "thing": thing,
        "signature": signature,
        "sbom": sbom,
        "sbom_signature": attach(SIGNATURE, f"{repository}@{sbom}", "sbom.sig"),
    }


def fill_app_registry(server: Process, folder: Path) -> dict[str, str]:
    """alice/nginx 0.1.0 and 0.2.0 (helm, channel stable), bob/app 1.0.0 (docker-compose); returns digests by name."""
    for version in ("0.1.0", "0.2.0"):
        work = chart(folder / version, "nginx", version)
        run("appr", "push", "--channel", "stable", f"{server.url}/alice/nginx", start=work).ok()
    push(server, folder, "docker-compose", "bob/app")
    _, manifest = get(server.host, "/cnr/api/v1/packages/alice/nginx/0.1.0/helm")
    return {"nginx": json.loads(manifest)["content"]["digest"]}


def fill_app_registry_whole(server: Process, folder: Path) -> dict[str, str]:
    """The same, a newer prerelease of alice/nginx, and the other formats: dab in bob/app, kpm in carol/kube."""
    digests = fill_app_registry(server, folder)
    prerelease = chart(folder / "prerelease", "nginx", "0.3.0-rc.1")
    run("appr", "push", "--channel", "beta", f"{server.url}/alice/nginx", start=prerelease).ok()
    push(server, folder, "dab", "bob/app")
    push(server, folder, "kpm", "carol/kube")
    return digests


def push(server: Process, folder: Path, media_type: str, package: str) -> None:
    """Release 1.0.0 of a package in that format."""
    work = folder / media_type
    work.mkdir()
    name, content = CONTENTS[media_type]
    (work / name).write_text(content)
    run("appr", "push", "-t", media_type, f"{server.url}/{package}@1.0.0", start=work).ok()


def chart(folder: Path, name: str, version: str) -> Path:
    """A chart with one template, in that folder."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(
        f"apiVersion: v2\nname: {name}\nversion: {version}\ndescription: for the tests\n"
    )
    (folder / "values.yaml").write_text("port: 80\n")
    (folder / "templates" / "service.yaml").write_text(SERVICE)
    return folder


SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: {{ .Chart.Name | quote }}}
spec: {ports: [{port: {{ .Values.port }}}]}
"""

KPM = """\
---
package: {name: carol/kube, author: carol, version: 1.0.0, description: for the tests}
resources: []
deploy: []
variables: {}
shards: {}
"""

CONTENTS = {
    "docker-compose": ("docker-compose.yml", "services: {app: {image: example.org/app}}\n"),
    "dab": ("app.dab", '{"Services": {}, "Version": "0.1"}\n'),
    "kpm": ("manifest.yaml", KPM),
}
"""A file's name and what it says, by format."""
