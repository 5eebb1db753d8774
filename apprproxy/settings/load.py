"""A configuration file and the environment, read into Settings; the environment wins.

Whatever is wrong is told with the path of its key, all of it at once, and never with a secret's value.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, PydanticBaseSettingsSource
from pydantic_settings import SettingsConfigDict as Config

from apprproxy.settings.model import Configuration
from apprproxy.settings.planned import planned

PREFIX = "APPRPROXY_"
NOT_KEYS = {"APPRPROXY_CONFIG", "APPRPROXY_PEERS"}
"""Variables with the prefix that are no keys of the configuration."""
MAX_FILE = 1024 * 1024


class BadConfiguration(Exception):
    """``str`` is what to tell the operator: one line per fault."""


class _Loader(yaml.CSafeLoader):
    """Plain data only, and no key twice: that is a mistake which YAML would pass over."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.YAMLError(f"line {key_node.start_mark.line + 1}: {key} is given twice")
            seen.add(key if isinstance(key, str) else id(key_node))
        return super().construct_mapping(node, deep)


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read the file (None for none) and the environment; raises BadConfiguration."""
    content = _read(path) if path is not None else {}
    environment = os.environ if environment is None else environment
    _refuse_unknown_variables(environment)
    merged = _merged(content, environment)
    try:
        return Configuration.model_validate(merged)
    except ValidationError as error:
        raise BadConfiguration("\n".join(_explain(error))) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise BadConfiguration(f"{path}: larger than {MAX_FILE} bytes")
        text = path.read_text(encoding="utf-8")
        _refuse_aliases(text)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 — a safe loader, narrowed
    except OSError as error:
        raise BadConfiguration(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadConfiguration(f"{path}: not UTF-8") from None
    except yaml.YAMLError as error:
        raise BadConfiguration(f"{path}: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise BadConfiguration(f"{path}: the file is not a mapping of keys")
    return content


def _refuse_aliases(text: str) -> None:
    """With aliases a few hundred bytes expand to gigabytes."""
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if getattr(event, "anchor", None) is not None:
            line = event.start_mark.line + 1 if event.start_mark else "?"
            raise yaml.YAMLError(f"line {line}: anchors and aliases are not taken")


def _merged(content: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The environment's keys laid over the file's."""

    class Sources(BaseSettings, Configuration):
        model_config = Config(
            env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", case_sensitive=False, frozen=True
        )

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (_Environment(settings_cls, environment), InitSettingsSource(settings_cls, content))

    collected: dict[str, Any] = {}
    for source in reversed(Sources.settings_customise_sources(Sources)):
        collected = _laid_over(collected, source())
    return collected


def _laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        result[key] = _laid_over(under, value) if isinstance(value, dict) and isinstance(under, dict) else value
    return result


class _Environment(EnvSettingsSource):
    """The environment that is given, rather than the process's own."""

    def __init__(self, settings_cls: type[BaseSettings], environment: Mapping[str, str]) -> None:
        self._given = environment
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {key.lower(): value for key, value in self._given.items()}


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    for variable in environment:
        if not variable.startswith(PREFIX) or variable in NOT_KEYS:
            continue
        key = variable.removeprefix(PREFIX).lower().split("__")[0]
        if key not in Configuration.model_fields:
            raise BadConfiguration(f"{variable}: there is no key {key!r}")


def _explain(error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        path = _path(fault["loc"])
        if fault["type"] == "extra_forbidden":
            feature = planned(path)
            known = f"is not built yet: {feature}" if feature else "there is no such key"
            lines.append(f"{path}: {known}")
        elif fault["type"] == "missing":
            lines.append(f"{path}: is missing")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            lines.append(f"{path}: {message}" if path and not message.startswith(path) else message)
    return list(dict.fromkeys(lines))


def _path(location: tuple[int | str, ...]) -> str:
    """``upstreams.quay.io.fresh_for``; the names of alternatives that pydantic adds are left out."""
    return ".".join(str(part) for part in location if not str(part).startswith(("function-", "list[", "constrained-")))
