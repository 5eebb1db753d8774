"""The image that a Dockerfile describes, made by carrying out its steps."""

import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.shipping.container import Container, Root
from tests.shipping.dockerfile import Step, allowed, read


@dataclass(slots=True)
class Image:
    root: Root
    environment: dict[str, str]
    arguments: dict[str, str]
    labels: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    stop: signal.Signals = signal.SIGKILL
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        return {**self.arguments, **self.environment}

    def container(self, folder: Path) -> Container:
        """With a fresh volume for each that the image declares, as engines make them."""
        volumes = {}
        for number, target in enumerate(self.volumes):
            volumes[target] = volume = folder / f"volume-{number}"
            volume.mkdir(parents=True)
            was = Path(f"{self.root.folder}{target}").stat()
            os.chown(volume, was.st_uid, was.st_gid)
            volume.chmod(was.st_mode & 0o7777)
        return Container(self.root, self.user, self.environment, self.directory, volumes, folder / "output.log")


class Builder:
    """Copies from `context`; each stage sees `wheels`, which stand for the package index."""

    def __init__(self, context: Path, folder: Path, wheels: Path) -> None:
        self._context, self._folder, self._wheels = context, folder, wheels
        self._ignore = (context / ".dockerignore").read_text()
        self._arguments: dict[str, str] = {}
        self._stages: dict[str, Image] = {}

    def build(self, dockerfile: str) -> Image:
        """The last stage."""
        image: Image | None = None
        for step in read(dockerfile):
            if step.name == "FROM":
                image = self._stage(step)
            elif image is None:
                assert step.name == "ARG"
                self._arguments |= step.pairs({})
            else:
                self._carry_out(step, image)
        assert image is not None
        return image

    def _stage(self, step: Step) -> Image:
        words = step.words(self._arguments)
        name = words[2] if len(words) == 3 else str(len(self._stages))
        folder = self._folder / name
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        root = Root(folder)
        root.mount(self._wheels, "/wheels")
        self._stages[name] = Image(root, {"PATH": root.path}, {})
        return self._stages[name]

    def _carry_out(self, step: Step, image: Image) -> None:
        match step.name:
            case "ARG":
                image.arguments |= step.pairs(image.variables)
            case "ENV":
                image.environment |= step.pairs(image.variables)
            case "LABEL":
                image.labels |= step.pairs(image.variables)
            case "RUN":
                index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "HOME": "/root"}
                image.root.run(["/bin/sh", "-c", step.rest], {**image.variables, **index}, image.directory)
            case "COPY":
                self._copy(step.words(image.variables), image)
            case "WORKDIR":
                image.directory = step.rest
                Path(f"{image.root.folder}{image.directory}").mkdir(parents=True, exist_ok=True)
            case "USER":
                image.user = step.rest
            case "VOLUME":
                image.volumes += step.words(image.variables)
            case "EXPOSE":
                image.ports += step.words(image.variables)
            case "STOPSIGNAL":
                image.stop = signal.Signals[step.rest]
            case "HEALTHCHECK":
                image.health = step.command()
            case "ENTRYPOINT":
                image.entrypoint, image.command = step.command(), []
            case "CMD":
                image.command = step.command()
            case other:
                raise AssertionError(other)

    def _copy(self, words: Sequence[str], image: Image) -> None:
        source = self._context
        if words[0].startswith("--from="):
            source = self._stages[words[0].removeprefix("--from=")].root.folder
            words = words[1:]
        *names, target = words
        place = Path(image.root.folder, *Path(image.directory, target).parts[1:])
        for name in names:
            assert source != self._context or allowed(name, self._ignore), f".dockerignore keeps {name} away"
            _copy_one(source / name.lstrip("/"), place, into=target.endswith("/"))


def _copy_one(source: Path, place: Path, *, into: bool) -> None:
    if source.is_dir():
        hidden = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True, ignore=hidden)
    else:
        target = place / source.name if into else place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
