"""Every target by its name: a function of bytes that returns, or raises where a law is broken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.fuzz import answers, documents, files, headers, names, packages, paths, pushes, requests


@dataclass(frozen=True, slots=True)
class Target:
    """``longest`` is the size of the inputs that are tried, in bytes."""

    run: Callable[[bytes], None]
    longest: int = 4096


TARGETS: Mapping[str, Target] = {
    "app-registry-answers": Target(answers.of_app_registry),
    "client-headers": Target(headers.of_clients, 1024),
    "content": Target(documents.content),
    "documents": Target(documents.read),
    "locks": Target(files.lock),
    "names": Target(names.lines),
    "oci-answers": Target(answers.of_oci),
    "packages": Target(packages.unpacked, 16384),
    "pushes": Target(pushes.read, 2048),
    "records": Target(files.records),
    "request-targets": Target(paths.targets),
    "requests": Target(requests.read, 2048),
    "settings": Target(files.settings),
    "upstream-headers": Target(headers.of_upstreams),
}
