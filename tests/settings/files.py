"""Configuration files for the tests, and what is said of them."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from apprproxy.settings import BadConfiguration, Settings, load

QUAY = "upstreams: {quay.io: {kind: oci, url: 'https://quay.io'}}\n"
SECRET = "hunter2-and-more"


def read(text: str | bytes, environment: Mapping[str, str] | None = None) -> Settings:
    """With nothing of the real environment."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "apprproxy.yaml")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(path, environment or {})


def complaint(text: str | bytes, environment: Mapping[str, str] | None = None) -> str:
    """What the operator is told; never with the secret in it."""
    with pytest.raises(BadConfiguration) as refused:
        read(text, environment)
    said = str(refused.value)
    assert SECRET not in said
    assert "pydantic" not in said
    assert refused.value.__context__ is None or refused.value.__suppress_context__, (
        "a traceback would show what the sentence leaves out"
    )
    return said


def upstream(keys: str, name: str = "quay.io") -> str:
    return f"upstreams: {{{name}: {{kind: oci, url: 'https://quay.io', {keys}}}}}\n"
