"""An upstream of either protocol that has everything there is to ask for, at a URL that outlives its outages."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.appregistry import archives
from tests.appregistry.registry import Registry as Packages
from tests.fakes.lies import Behaviour, Honest, honestly
from tests.fakes.listening import listening
from tests.fakes.registry import Registry as Images
from tests.outages.line import Line
from tests.outages.names import HOST, NameServer
from tests.outages.table import Thing
from tests.peers.certificate import Certificate

LAYER = b"some layer" * 100
PATHS = {
    Thing.TAG: "/v2/owner/library/app/manifests/1.0",
    Thing.TAGS: "/v2/owner/library/app/tags/list",
    Thing.RELEASE: "/owner/cnr/api/v1/packages/alice/nginx/1.0.0/helm",
    Thing.PACKAGES: "/owner/cnr/api/v1/packages",
}
_KINDS = ("blob", "manifest", "tag", "tags", "token", "other")


@dataclass(slots=True)
class AppRegistry:
    """Packages over HTTP, answered as ``behave`` likes."""

    packages: Packages
    behave: Behaviour = honestly

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = self.packages.answer(request.method, request.raw_path)
        honest = Honest(answer.status, answer.body, {**answer.headers, "Content-Type": answer.content_type})
        return await self.behave(request, honest)


@dataclass(frozen=True, slots=True)
class Certificates:
    """The owner's, which is trusted, and one that is not."""

    own: Certificate
    foreign: Certificate


@dataclass(frozen=True, slots=True)
class Owner:
    server: Images | AppRegistry
    line: Line
    names: NameServer
    certificates: Certificates

    @property
    def kind(self) -> str:
        return "oci" if isinstance(self.server, Images) else "appr"

    def keys(self, scheme: str) -> dict[str, Any]:
        """Of the upstream's section, for a gateway that is to reach it by ``scheme``."""
        host = "127.0.0.1" if scheme == "https" else HOST
        trust = {"tls": {"ca_file": str(self.certificates.own.path)}} if scheme == "https" else {}
        return {"kind": self.kind, "url": f"{scheme}://{host}:{self.line.port}", **trust}

    def behaves(self, behaviour: Behaviour) -> None:
        """From now on, whatever it is asked."""
        match self.server:
            case Images():
                self.server.on.update(dict.fromkeys(_KINDS, behaviour))
            case AppRegistry():
                self.server.behave = behaviour

    async def begin(self, scheme: str) -> None:
        await self.line.open(context(self.certificates.own) if scheme == "https" else None)


def context(certificate: Certificate) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate.path, certificate.key)
    return made


@asynccontextmanager
async def owner_of(thing: Thing, names: NameServer, certificates: Certificates) -> AsyncIterator[tuple[Owner, str]]:
    """Whoever has such a thing, and the path by which the gateway is asked for it."""
    if thing in (Thing.RELEASE, Thing.PACKAGES):
        packages = Packages()
        packages.push("alice/nginx", "1.0.0", "helm", archives.packed(archives.chart("1.0.0")))
        face = AppRegistry(packages)
        async with listening(face) as url, _line(url) as line:
            yield Owner(face, line, names, certificates), PATHS[thing]
        return
    async with Images() as images, _line(images.url) as line:
        images.push("library/app", "1.0", LAYER)
        blob = f"/v2/owner/library/app/blobs/{images.add_blob('library/app', LAYER)}"
        yield Owner(images, line, names, certificates), PATHS.get(thing, blob)


@asynccontextmanager
async def _line(target: str) -> AsyncIterator[Line]:
    line = Line(target)
    try:
        yield line
    finally:
        await line.close()
