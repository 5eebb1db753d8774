"""A configuration file and the environment, read into Settings; the environment wins.

Whatever is wrong is told with the path of its key, all of it at once, and never with a secret's value.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings import SettingsConfigDict as Config
from pydantic_settings.exceptions import SettingsError

from apprproxy.settings.explain import empties, explain, variable_of
from apprproxy.settings.model import Configuration
from apprproxy.settings.suggest import meant

PREFIX = "APPRPROXY_"
NOT_KEYS = {"APPRPROXY_CONFIG", "APPRPROXY_PEERS"}
"""Variables with the prefix that are no keys of the configuration."""
MAX_FILE = 1024 * 1024
MAX_DEPTH = 20
"""Of brackets within brackets; the deepest key there is stands on the fourth."""
_QUOTED = "text that begins with * or & is put in quotes"
"""As patterns do, of which nobody thinks as aliases."""
_LINK = re.compile(r"APPRPROXY_(\w+_)?(SERVICE_(HOST|PORT)|PORT)(_|$)")
_KUBERNETES = " (Kubernetes sets it for a Service; enableServiceLinks: false in the pod's specification keeps it away)"


class BadConfiguration(Exception):
    """``str`` is what to tell the operator: one line per fault."""


class _Loader(yaml.CSafeLoader):
    """Plain data only, and no key twice, or one that is no text: mistakes which YAML would pass over."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value if node.id == "mapping" else ():  # a tag may say so of a list
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, str):
                written = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a list or a section"
                raise yaml.YAMLError(f"line {line}: a key is text, and {written} is none in YAML; put it in quotes")
            if key in seen:
                raise yaml.YAMLError(f"line {line}: {key} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read the file (None for none) and the environment; raises BadConfiguration."""
    content = _read(path) if path is not None else {}
    environment = os.environ if environment is None else environment
    variables = _variables(environment)
    merged = _merged(content, environment)
    told = dict(empties(content, Configuration)) | dict(_passwords(content))
    faults = [f"{path}: {fault}" for path, fault in told.items()]
    try:
        settings = Configuration.model_validate(merged)
    except ValidationError as error:
        faults += explain(error, Configuration, variables, _upstreams(content), told)
    if faults:
        raise BadConfiguration("\n".join(faults))
    _refuse_nowhere(settings.cache.directory)
    return settings


def _refuse_nowhere(directory: Path) -> None:
    """What surrounds a process decides it as well: the locale, and where it was started."""
    try:
        os.fsencode(directory.absolute())
    except UnicodeEncodeError:
        raise BadConfiguration(
            "cache.directory: no such name can be in this locale (LC_ALL); use a UTF-8 one"
        ) from None
    except FileNotFoundError:
        raise BadConfiguration(
            "cache.directory: the current directory has been deleted; give an absolute path"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise BadConfiguration(f"{path}: larger than {MAX_FILE} bytes")
        text = path.read_text(encoding="utf-8")
        _refuse_bombs(text)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 — a safe loader, narrowed
    except OSError as error:
        raise BadConfiguration(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadConfiguration(f"{path}: not UTF-8") from None
    except yaml.YAMLError as error:
        raise BadConfiguration(f"{path}: {_sentence(error, text)}") from None
    except ValueError as error:  # a date that is none, an integer of ten thousand digits
        raise BadConfiguration(f"{path}: {error}") from None
    except (LookupError, AttributeError):  # the library's, of a tag such as !!bool before what is none
        raise BadConfiguration(f"{path}: a value is not of the kind that its tag says") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BadConfiguration(f"{path}: the file is not a mapping of keys")
    return content


def _upstreams(content: dict[str, Any]) -> dict[str, Any]:
    upstreams = content.get("upstreams")
    return upstreams if isinstance(upstreams, dict) else {}


def _passwords(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Path and fault. A file is shown around and kept in version control: none stands there."""
    for name, upstream in _upstreams(content).items():
        auth = upstream.get("auth") if isinstance(upstream, dict) else None
        if isinstance(auth, dict) and "password" in auth:
            variable = variable_of("upstreams", name, "auth", "password")
            yield f"upstreams.{name}.auth.password", f"give password_file in the file; in the environment, {variable}"


def _sentence(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        number = error.problem_mark.line
        if error.context in ("while scanning an alias", "while scanning an anchor"):
            return f"line {number + 1}: not YAML: {_QUOTED}"
        line = next(iter(text.splitlines()[number:]), "")
        tab = "; a tab stands there, and YAML is indented by blanks" if line.lstrip(" ").startswith("\t") else ""
        return f"line {number + 1}: not YAML: {error.problem}{tab}"
    return " ".join(str(error).split())


def _refuse_bombs(text: str) -> None:
    """With aliases a few hundred bytes expand to gigabytes; brackets by the thousand overrun the loader's stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else "?"
        if getattr(event, "anchor", None) is not None:
            raise yaml.YAMLError(f"line {line}: anchors and aliases are not taken: {_QUOTED}")
        if isinstance(event, yaml.ScalarEvent) and "\0" in event.value:
            raise yaml.YAMLError(f"line {line}: a NUL character, which no value has")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"line {line}: nested too deeply")


def _merged(content: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The environment's keys laid over the file's. Capitals count in the file, as everywhere in it."""

    class Source(BaseSettings, Configuration):
        model_config = Config(
            env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", case_sensitive=False, frozen=True
        )

    try:
        return _laid_over(content, _Environment(Source, environment)())
    except (SettingsError, RecursionError):
        raise BadConfiguration(_not_json(Source, environment)) from None


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


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Path of the key -> the variable that sets it; raises BadConfiguration for one that sets nothing."""
    by_path, unknown = {}, []
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in NOT_KEYS:
            continue
        path = variable.removeprefix(PREFIX).lower().replace("__", ".")
        by_path[path] = variable
        if path.split(".")[0] not in Configuration.model_fields:
            unknown.append(f"{variable}: there is no key {path!r}{_way_out(variable, path)}")
    if unknown:
        raise BadConfiguration("\n".join(unknown))
    return by_path


def _way_out(variable: str, path: str) -> str:
    if _LINK.match(variable):
        return _KUBERNETES
    key = meant(Configuration, path)
    return f"; did you mean {PREFIX}{key.upper()}?" if key else ""


def _not_json(source: type[BaseSettings], environment: Mapping[str, str]) -> str:
    """Which of them it is: the library names only the section."""
    lines = []
    for variable, value in environment.items():
        try:
            _Environment(source, {variable: value})()
        except (SettingsError, RecursionError):
            lines.append(f'{variable}: a list or a section is written as JSON, such as ["quay.io"]')
    return "\n".join(lines)
