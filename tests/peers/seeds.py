"""What the genuine registries hold, brought there by the genuine clients."""

import json
from pathlib import Path

from tests.peers.clients import run
from tests.peers.layout import write_layout
from tests.peers.process import Process, get

SIGNATURE = "application/vnd.example.signature"


def fill_oci(server: Process, folder: Path) -> dict[str, str]:
    """charts/demo 0.1.0, images/multi 1.0 (an index), artifacts/thing 1.0 with a signature; returns digests by name."""
    package = _chart(folder / "demo", "demo", "0.1.0")
    run("helm3", "package", str(package), start=folder).ok()
    run("helm3", "push", "demo-0.1.0.tgz", f"oci://{server.host}/charts", "--plain-http", start=folder).ok()
    layout = write_layout(folder / "layout")
    for tag in ("1.0", "1.1"):
        run("crane", "push", "--insecure", "--index", str(layout), f"{server.host}/images/multi:{tag}").ok()
    return fill_artifact(server, folder)


def fill_artifact(server: Process, folder: Path, *login: str) -> dict[str, str]:
    work = folder / "artifact"
    work.mkdir()
    (work / "thing.txt").write_text("a thing\n" * 1000)
    (work / "thing.sig").write_text("signed\n")
    thing = f"{server.host}/artifacts/thing:1.0"
    formed = ("--plain-http", "--format", "json", *login)
    pushed = run("oras", "push", *formed, thing, "thing.txt:text/plain", start=work).ok()
    signed = run("oras", "attach", *formed, "--artifact-type", SIGNATURE, thing, "thing.sig", start=work).ok()
    return {"thing": json.loads(pushed.out)["digest"], "signature": json.loads(signed.out)["digest"]}


def fill_app_registry(server: Process, folder: Path) -> dict[str, str]:
    """alice/nginx 0.1.0 and 0.2.0 (helm, channel stable), bob/app 1.0.0 (docker-compose); returns digests by name."""
    for version in ("0.1.0", "0.2.0"):
        chart = _chart(folder / version, "nginx", version)
        run("appr", "push", "--channel", "stable", f"{server.url}/alice/nginx", start=chart).ok()
    compose = folder / "compose"
    compose.mkdir()
    (compose / "docker-compose.yml").write_text("services: {app: {image: example.org/app}}\n")
    run("appr", "push", "-t", "docker-compose", f"{server.url}/bob/app@1.0.0", start=compose).ok()
    _, manifest = get(server.host, "/cnr/api/v1/packages/alice/nginx/0.1.0/helm")
    return {"nginx": json.loads(manifest)["content"]["digest"]}


def _chart(folder: Path, name: str, version: str) -> Path:
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
