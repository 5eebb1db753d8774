"""The examples as their readers use them: genuine clients do what the comments say, then the upstreams are gone."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.peers import seeds, servers
from tests.peers.between import between
from tests.peers.clients import run
from tests.peers.comments import Comments
from tests.peers.containerd import Containerd
from tests.peers.gateway import ROOT, Gateway
from tests.peers.layout import digests, write_layout
from tests.peers.process import Process
from tests.peers.pullers import wrong
from tests.shipping.examples import Example

pytestmark = pytest.mark.peers

Got = Mapping[str, str]
"""The digests of what a client holds."""
Client = Callable[[], Got]
Folder = Callable[[], Path]
BUSYBOX = "quay.io/prometheus/busybox:1.0"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A new one each time."""
    return partial(tmp_path_factory.mktemp, "example")


@dataclass(frozen=True, slots=True)
class Clients:
    """Each pulls in a new home, as the comments tell it to, and says what it got."""

    comments: Comments
    folder: Folder

    def containerd(self, image: str) -> Got:
        registry = image.partition("/")[0]
        with Containerd(self.folder(), "2") as daemon:
            hosts = daemon.folder / "certs.d"
            (hosts / registry).mkdir(parents=True)
            (hosts / registry / "hosts.toml").write_text(self.comments.file("hosts.toml"))
            daemon.fetch(image, hosts).ok()
            assert {} == wrong(daemon.held)
            return daemon.held

    def skopeo(self, image: str, *more: str) -> Got:
        work = self.folder()
        (work / "registries.conf").write_text(self.comments.file("registries.conf"))
        settings = ("--insecure-policy", "--registries-conf", str(work / "registries.conf"))
        run("skopeo", *settings, "copy", "--all", *more, f"docker://{image}", "oci:image", start=work).ok()
        held = digests(work / "image" / "blobs" / "sha256")
        assert {} == wrong(held)
        return held

    def docker(self) -> Got:
        """There is none here; what it is told to pull is a name that crane pulls too."""
        work = self.folder()
        (name,) = self.comments.command("docker pull")
        run("crane", "pull", "--insecure", "--format", "oci", name, "image", start=work).ok()
        return digests(work / "image" / "blobs" / "sha256")

    def helm(self, *more: str) -> Got:
        return run("helm4", "pull", *self.comments.command("helm pull"), *more).ok().files

    def appr(self) -> Got:
        return run("appr", "pull", *self.comments.command("appr pull")).ok().files


def pulled(pulls: Sequence[Client]) -> list[Got]:
    got = [pull() for pull in pulls]
    assert all(got)
    return got


def with_image(server: Process, folder: Folder, *names: str) -> None:
    layout = write_layout(folder())
    for name in names:
        run("crane", "push", "--insecure", "--index", str(layout), f"{server.host}/{name}", settle=_crane(server)).ok()


def with_signature(server: Process, folder: Folder, image: str) -> str:
    """The digest of a manifest that refers to the image."""
    work = folder()
    (work / "signature").write_text("signed")
    attach = ("--plain-http", "--format", "json", "--artifact-type", seeds.SIGNATURE)
    ran = run("oras", "attach", *attach, f"{server.host}/{image}", "signature", start=work).ok()
    return str(json.loads(ran.out)["digest"])


def with_chart(server: Process, folder: Folder) -> None:
    work = seeds.chart(folder() / "demo", "demo", "1.2.3").parent
    run("helm3", "package", "demo", start=work).ok()
    push = ("push", "demo-1.2.3.tgz", f"oci://{server.host}/corp/charts", "--plain-http")
    run("helm3", *push, start=work, settle=_helm(server)).ok()


def _crane(server: Process) -> Sequence[str]:
    return "auth", "login", server.host, "-u", servers.USER, "-p", servers.PASSWORD


def _helm(server: Process) -> Sequence[str]:
    return "registry", "login", server.host, "-u", servers.USER, "-p", servers.PASSWORD, "--plain-http"


def with_package(server: Process, folder: Folder, name: str) -> None:
    run("appr", "push", f"{server.url}/{name}", start=seeds.chart(folder() / "nginx", "nginx", "0.1.0")).ok()


def test_an_air_gapped_mirror(folder: Folder) -> None:
    home = folder()
    with servers.distribution(folder()) as quay, servers.olareg(folder()) as hub, servers.appr(folder()) as old:
        with_image(quay, folder, BUSYBOX.removeprefix("quay.io/"))
        signature = with_signature(quay, folder, BUSYBOX.removeprefix("quay.io/"))
        with_chart(quay, folder)
        with_image(hub, folder, "library/alpine:3")
        with_package(old, folder, "alice/nginx")
        urls = {"https://quay.io": quay.url, "https://registry-1.docker.io": hub.url}
        urls["https://old-quay.example.com"] = old.url
        filling = Example("air-gapped-mirror.yaml", home, urls, APPRPROXY_OFFLINE="false")
        with filling:
            cold = pulled(_air_gapped(filling, folder))
            filling.command("cache", "pin", "--fetch", "--referrers", BUSYBOX)
            filling.command("cache", "verify")
    carried = folder()
    shutil.copytree(filling.cache, carried / "var/lib/apprproxy", symlinks=True)
    with Example("air-gapped-mirror.yaml", carried, urls) as site:
        assert cold == pulled(_air_gapped(site, folder))
        image = f"{site.host}/{BUSYBOX}"
        assert signature in run("oras", "discover", "--plain-http", "--format", "json", image).ok().out
        signed = f"{image.rpartition(':')[0]}@{signature}"
        assert {"signature"} == set(run("oras", "pull", "--plain-http", "--no-tty", signed).ok().files)


def _air_gapped(gateway: Process, folder: Folder) -> Sequence[Client]:
    clients = Clients(Comments("air-gapped-mirror.yaml", "mirror.corp:8080", gateway.host), folder)
    return [
        partial(clients.containerd, BUSYBOX),
        partial(clients.skopeo, BUSYBOX),
        clients.docker,
        clients.helm,
        clients.appr,
    ]


def test_a_corporate_cache(folder: Folder) -> None:
    home = folder()
    write(home / "run/secrets/harbor", f"{servers.PASSWORD}\n")
    write(home / "etc/apprproxy/docker/config.json", "{}")
    with ExitStack() as outside, ExitStack() as inside:
        kinds = servers.locked_distribution, servers.olareg, servers.distribution, servers.appr
        harbor, hub, quay, old = (outside.enter_context(kind(folder())) for kind in kinds)
        with_image(harbor, folder, "corp/app:1.0")
        with_chart(harbor, folder)
        with_image(hub, folder, "library/alpine:3")
        with_image(quay, folder, "corp/app:1.0", "corp/charts/demo:1.2.3")
        with_package(old, folder, "corp/nginx")
        urls = {"https://harbor.corp.example": harbor.url, "https://registry-1.docker.io": hub.url}
        urls |= {"https://quay.io": quay.url, "https://old-quay.corp.example": old.url}
        user = {"APPRPROXY_UPSTREAMS__HARBOR__AUTH__USERNAME": servers.USER}
        gateway = Example("corporate-cache.yaml", home, urls, APPRPROXY_SERVER__OPS="127.0.0.1:0", **user)
        inside.enter_context(gateway)
        cold = pulled(_corporate(gateway, folder))
        outside.close()

        assert cold == pulled(_corporate(gateway, folder))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)


def _corporate(gateway: Process, folder: Folder) -> Sequence[Client]:
    """Over http, as what ends TLS stands before it."""
    clients = Clients(Comments("corporate-cache.yaml", "registry.corp", gateway.host), folder)
    alpine = "docker.io/library/alpine:3"
    return [
        partial(clients.containerd, alpine),
        partial(clients.skopeo, alpine, "--src-tls-verify=false"),
        clients.docker,
        partial(clients.helm, "--plain-http"),
        clients.appr,
    ]


def test_untrusted_mirrors(folder: Folder) -> None:
    home, neighbour = folder(), folder()
    with ExitStack() as running:
        quay, mirror = (running.enter_context(servers.distribution(folder())) for _ in range(2))
        for server in (quay, mirror):
            with_image(server, folder, BUSYBOX.removeprefix("quay.io/"))
        with_chart(quay, folder)
        liar = running.enter_context(between(mirror.host))
        running.enter_context(liar.doing("lies"))
        files = running.enter_context(_file_server(neighbour))
        _neighbour_pulls(neighbour / "apprproxy", quay, folder)
        _lock(quay, folder(), home / "etc/apprproxy/names.lock.json")
        urls = {"https://quay.io": quay.url, "http://mirror.university.example:5000": liar.url}
        urls["http://files.neighbour.example/apprproxy"] = f"{files}/apprproxy"
        gateway = running.enter_context(Example("untrusted-mirrors.yaml", home, urls))
        cold = pulled(_untrusted(gateway, folder))
        asked = len(liar.asked)
        for server in (quay, mirror):
            server.stop()

        assert cold == pulled(_untrusted(gateway, folder))
        assert 1 == asked, "whoever lied is not asked again"


def _untrusted(gateway: Process, folder: Folder) -> Sequence[Client]:
    clients = Clients(Comments("untrusted-mirrors.yaml", "localhost:8080", gateway.host), folder)
    return [partial(clients.containerd, BUSYBOX), partial(clients.skopeo, BUSYBOX), clients.docker, clients.helm]


def _neighbour_pulls(cache: Path, quay: Process, folder: Folder) -> None:
    """Some of the image, into a cache directory of the neighbour's own."""
    upstreams = {"quay.io": {"kind": "oci", "url": quay.url}}
    with Gateway(folder(), upstreams, cache={"directory": str(cache)}) as gateway:
        run("crane", "pull", "--insecure", f"{gateway.host}/{BUSYBOX}", "image.tar").ok()


def _lock(quay: Process, folder: Path, lock: Path) -> None:
    """As the comments say: where the registry can be asked, with a configuration that trusts it."""
    trusted = folder / "trusted.yaml"
    trusted.write_text(json.dumps({"upstreams": {"quay.io": {"kind": "oci", "url": quay.url}}}))
    lock.parent.mkdir(parents=True)
    command = [
        "names",
        "lock",
        "--config",
        str(trusted),
        "--output",
        str(lock),
        BUSYBOX,
        "quay.io/corp/charts/demo:1.2.3",
    ]
    subprocess.run([sys.executable, "-m", "apprproxy", *command], cwd=ROOT, check=True, timeout=60)


@contextmanager
def _file_server(root: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), name="neighbour")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)
