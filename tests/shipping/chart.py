"""The chart as a genuine helm renders it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.peers.clients import Ran, run

PROJECT = Path(__file__).parents[2]
CHART = PROJECT / "helm" / "apprproxy"


@dataclass(frozen=True, slots=True)
class Rendered:
    objects: list[dict[str, Any]]

    def one(self, kind: str, ending: str = "apprproxy") -> dict[str, Any]:
        [found] = [each for each in self.objects if each["kind"] == kind and each["metadata"]["name"].endswith(ending)]
        return found

    @property
    def stateful_set(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.one("StatefulSet")["spec"]
        return spec

    @property
    def pod(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.stateful_set["template"]["spec"]
        return spec

    @property
    def container(self) -> dict[str, Any]:
        [container] = self.pod["containers"]
        assert isinstance(container, dict)
        return container

    @property
    def mounts(self) -> dict[str, str]:
        """Path -> name of the volume."""
        return {mount["mountPath"]: mount["name"] for mount in self.container["volumeMounts"]}

    def configuration(self, folder: Path) -> Path:
        """The gateway's file, as the pod sees it."""
        path = folder / "apprproxy.yaml"
        path.write_text(self.one("ConfigMap")["data"]["apprproxy.yaml"])
        return path


@dataclass(frozen=True, slots=True)
class Helm:
    name: str

    def try_template(self, *values: str) -> Ran:
        return run(self.name, "template", "test", str(CHART), *values)

    def template(self, *values: str) -> Rendered:
        out = self.try_template(*values).ok().out
        return Rendered([each for each in yaml.safe_load_all(out) if each])

    def refusal(self, *values: str) -> str:
        """What it says when it renders nothing."""
        ran = self.try_template(*values)
        assert ran.status != 0, ran.out
        return ran.err


def settings(*pairs: str) -> list[str]:
    """``--set`` for each."""
    return [word for pair in pairs for word in ("--set", pair)]
