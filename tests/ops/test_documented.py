"""Whoever reads a line of the log, or writes an alert, finds its words in docs/operations.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

import apprproxy
from apprproxy.ops.journal import _LIED, _OPENED, _SHUT, _TROUBLES
from apprproxy.ops.metrics import Metrics

ROOT = Path(apprproxy.__file__).parent
PAGE = (ROOT.parent / "docs" / "operations.md").read_text()
CALLS = {"debug", "info", "warning", "error", "exception", "line", "episode", "repeated", "stands"}
LEVELS = {"info", "warning", "error"}
NO_FIELDS = {"exc_info", "extra"}


def fields(tree: ast.AST) -> Iterator[str]:
    """Names that calls of a logger, and of what leads to one, give to what they log."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            yield from (word.arg for word in node.keywords if word.arg)


def literals(tree: ast.AST) -> Iterator[str]:
    """Keys of mappings that are written out, and those that are added to one by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from (key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value != 0:
            yield str(node.slice.value)


def logged() -> set[str]:
    found = set[str]()
    for path in ROOT.rglob("*.py"):
        if path.parts[-2] == "demo":
            continue
        tree = ast.parse(path.read_text())
        found |= set(fields(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "extra":
                found |= set(literals(node))
    for name in ("journal", "telling", "requests"):
        tree = ast.parse((ROOT / "ops" / f"{name}.py").read_text())
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found |= set(literals(node))
    return found


def test_every_field_of_the_log_stands_in_the_documentation() -> None:
    documented = set(re.findall(r"`([a-z_]+)`", PAGE)) | set(re.findall(r'"([a-z_]+)": ', PAGE))

    assert set() == logged() - documented - NO_FIELDS


def events() -> set[str]:
    """What lines begin with, up to what stands behind a colon or in brackets."""
    found = {*_TROUBLES.values(), _SHUT, _OPENED, _LIED}
    for path in ROOT.rglob("*.py"):
        if path.parts[-2] == "demo":
            continue
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in CALLS:
                parts = [part for word in call.args for part in ast.walk(word) if isinstance(part, ast.Constant)]
                found |= {part.value for part in parts if isinstance(part.value, str)}
    return {re.split(r"[:(]|, and", event)[0].strip() for event in found if event not in LEVELS}


def test_every_line_of_the_log_stands_in_the_documentation() -> None:
    assert set() == {event for event in events() if f"`{event}" not in PAGE and f'"{event}"' not in PAGE}


def alerts() -> dict[str, str]:
    """Their expressions, by name."""
    (block,) = re.findall(r"```yaml\n(groups:.*?)```", PAGE, re.DOTALL)
    rules = yaml.safe_load(block)["groups"][0]["rules"]
    return {rule["alert"]: rule["expr"] for rule in rules}


ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def known() -> dict[str, set[str]]:
    """Every sample that there is, with the names of its labels."""
    metrics = Metrics(["hub"])
    metrics.certificate_ends(1.0)
    found = dict[str, set[str]]()
    for collector in set(metrics.registry._collector_to_names):
        if isinstance(collector, MetricWrapperBase):
            for ending in ENDINGS[str(collector._type)]:
                extra = {"le"} if ending == "_bucket" else set()
                found[collector._name + ending] = set(collector._labelnames) | extra
        else:
            found |= {sample.name: set(sample.labels) for family in collector.collect() for sample in family.samples}
    return found


@pytest.mark.parametrize(("alert", "expression"), alerts().items())
def test_an_alert_names_what_there_is(alert: str, expression: str) -> None:
    metrics = known()
    named = re.findall(r"\b(?:apprproxy|process)_\w+", expression)
    matched = re.findall(r"\b((?:apprproxy|process)_\w+)\{([^}]*)\}", expression)
    grouped = [one.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for one in group.split(",")]

    assert named, alert
    assert set() == set(named) - set(metrics)
    assert all(set(re.findall(r"(\w+)=", labels)) <= metrics[name] for name, labels in matched)
    assert all(set(grouped) <= metrics[name] for name in named)


def test_the_metrics_to_watch_are_there() -> None:
    named = re.findall(r"`((?:apprproxy|process)_\w+)(?:\{[^}]*\})?`", PAGE)
    families = {name.removesuffix("_sum") for name in known()}

    assert set() == set(named) - families
