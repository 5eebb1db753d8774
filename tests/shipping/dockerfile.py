"""A Dockerfile as steps: as much of its language as ours is written in, and an error for anything else."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Template

KNOWN = set(
    "ARG FROM RUN COPY ENV LABEL WORKDIR USER VOLUME EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    rest: str

    def words(self, variables: Mapping[str, str]) -> list[str]:
        """With variables replaced, of which there must be none that is unknown, and quotes removed."""
        return shlex.split(Template(self.rest).substitute(variables))

    def pairs(self, variables: Mapping[str, str]) -> dict[str, str]:
        return dict(word.split("=", 1) for word in self.words(variables))

    def command(self) -> list[str]:
        """The exec form; the shell form would stand between the process and its signals."""
        command = json.loads(self.rest[self.rest.index("[") :])
        assert isinstance(command, list)
        return command


def read(text: str) -> list[Step]:
    return [_step(line) for line in _lines(text)]


def _lines(text: str) -> Iterator[str]:
    plain = "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))
    yield from (line.strip() for line in re.sub(r"\\\n", "", plain).splitlines() if line.strip())


def _step(line: str) -> Step:
    name, _, rest = line.partition(" ")
    assert name in KNOWN, f"the test does not know {name}"
    return Step(name, rest.strip())


def allowed(path: str, ignore: str) -> bool:
    """Whether a .dockerignore that forbids everything and then names exceptions lets a path through."""
    rules = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    exceptions = [rule.removeprefix("!/") for rule in rules if rule.startswith("!")]
    return any(path == exception or path.startswith(f"{exception}/") for exception in exceptions)
