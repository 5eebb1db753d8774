"""The genuine registries, each on a free loopback port, with its data in its own folder, where it survives restarts."""

from pathlib import Path

import yaml

from tests.peers.process import Process, free_port
from tests.peers.tools import tool

USER = "reader"
PASSWORD = "let-me-in"
HTPASSWD = f"{USER}:$2b$04$LcYrK7ctecET34Usj/neTOpQxuST3y2.doEuIQIAilrIZCvpm6J9C\n"  # bcrypt of PASSWORD, cost 4


def distribution(folder: Path) -> Process:
    """The reference implementation; it has no referrers API."""
    return _distribution(folder, "/v2/", {})


def locked_distribution(folder: Path) -> Process:
    """The same behind Basic authentication; `/` is what it tells everybody."""
    passwords = folder / "htpasswd"
    passwords.write_text(HTPASSWD)
    return _distribution(folder, "/", {"auth": {"htpasswd": {"realm": "peers", "path": str(passwords)}}})


def _distribution(folder: Path, ready: str, more: dict[str, object]) -> Process:
    port = free_port()
    config = folder / "config.yaml"
    settings = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of no interest"},
    }
    config.write_text(yaml.safe_dump(settings | more))
    quiet = {"OTEL_TRACES_EXPORTER": "none"}
    return Process([tool("registry"), "serve", str(config)], folder, port, ready, quiet)


def olareg(folder: Path) -> Process:
    """Small, and with a referrers API."""
    port = free_port()
    data = folder / "data"
    data.mkdir()
    command = [tool("olareg"), "serve", "--addr", "127.0.0.1", "--port", str(port), "--dir", str(data)]
    return Process(command, folder, port, "/v2/")


def appr(folder: Path) -> Process:
    return _app_registry("appr", folder, {"APPR_DB_CLASS": "filesystem"})


def cnr(folder: Path) -> Process:
    """Its predecessor, which Quay's App Registry was built on: other media types, and none called `-`."""
    return _app_registry("cnr", folder, {})


def _app_registry(package: str, folder: Path, more: dict[str, str]) -> Process:
    port = free_port()
    listen = ["--bind", f"127.0.0.1:{port}", "--workers", "1"]
    command = [tool(f"{package}-gunicorn"), f"{package}.api.wsgi:app", *listen]
    return Process(command, folder, port, "/cnr/version", {"DATABASE_URL": str(folder / "db"), **more})
