"""Accounts at upstreams, read from files that may change under a running gateway: secrets are rotated.

A file that cannot be read any more leaves the account as it was last read; the upstream will say if it is wrong.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path

from apprproxy.core.model import MIB
from apprproxy.upstream.auth import Account

Accounts = Callable[[], Account | None]
"""The account as it is now."""

MAX_FILE = 1 * MIB
_DOCKER_HUB = {"docker.io", "index.docker.io", "registry-1.docker.io"}
"""One registry by three names; ``docker login`` writes it as ``https://index.docker.io/v1/``."""


class NoAccount(Exception):
    """``str`` says what is wrong with the file, without its secrets."""


def fixed(account: Account | None) -> Accounts:
    return lambda: account


def from_file(
    path: Path,
    read: Callable[[str], Account | None],
    trouble: Callable[[str], None] = lambda _: None,
    renewed: Callable[[], None] = lambda: None,
) -> Accounts:
    """Reads now, which raises NoAccount, and again whenever the file changes; ``renewed`` is told of it then, or
    ``trouble`` once what is wrong with it, and ``renewed`` once that is over."""
    kept = (_stamp(path), _read(path, read))
    told = ""

    def account() -> Account | None:
        nonlocal kept, told
        try:
            stamp = _stamp(path)
            if told or stamp != kept[0]:  # also one that was away, and is back as it was
                kept = stamp, _read(path, read)
                renewed()
            told = ""
        except NoAccount as wrong:
            if told != str(wrong):
                told = str(wrong)
                trouble(told)
        return kept[1]

    return account


def password_of(username: str) -> Callable[[str], Account | None]:
    """The file holds nothing but the password; a line break at its end is the editor's. An empty one is a secret that
    was not filled in, or that is being written."""

    def account(text: str) -> Account:
        password = text.rstrip("\r\n")
        if not password:
            raise NoAccount("it is empty")
        if "\n" in password:
            raise NoAccount("it has more than one line, and a password is one")
        return Account(username, password)

    return account


def docker_account_of(*hosts: str) -> Callable[[str], Account | None]:
    """The account for a host, by any of the ways in which it may be written, in a Docker ``config.json``; None where
    it has none, which is anonymous access."""
    names = _DOCKER_HUB if _DOCKER_HUB.intersection(hosts) else set(hosts)

    def account(text: str) -> Account | None:
        for key, entry in _auths(text).items():
            if _host(key) in names:
                return _account(key, entry)
        return None

    return account


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise NoAccount(f"{path}: {error.strerror}") from None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _read(path: Path, read: Callable[[str], Account | None]) -> Account | None:
    try:
        with path.open(encoding="utf-8-sig") as file:  # some editors begin a file with a mark
            text = file.read(MAX_FILE)
        return read(text)
    except OSError as error:
        raise NoAccount(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NoAccount(f"{path}: not UTF-8") from None
    except NoAccount as error:
        raise NoAccount(f"{path}: {error}") from None


def _auths(text: str) -> dict[str, object]:
    try:
        auths = json.loads(text).get("auths", {})
    except (ValueError, AttributeError, RecursionError):
        raise NoAccount("not a Docker config.json") from None
    if not isinstance(auths, dict):
        raise NoAccount("not a Docker config.json: auths is no mapping")
    return auths


def _host(key: str) -> str:
    """``https://index.docker.io/v1/`` and ``quay.io`` are both written there; a key of podman's for a part of a host is
    not for the whole of it."""
    host, _, path = key.removeprefix("https://").removeprefix("http://").partition("/")
    return host if path.strip("/") in ("", "v1", "v2") else ""


def _account(key: str, entry: object) -> Account | None:
    fields = entry if isinstance(entry, dict) else {}
    username, password = fields.get("username"), fields.get("password")
    if isinstance(username, str) and isinstance(password, str):
        return _presentable(key, Account(username, password))
    try:
        pair = base64.b64decode(str(fields.get("auth", "")), validate=True).decode()
    except ValueError:
        raise NoAccount(f"auths[{key[:80]!r}].auth is not base64 of user:password") from None
    username, colon, password = pair.partition(":")
    if not colon:
        raise NoAccount(f"auths[{key[:80]!r}] has no user and password; credential helpers and tokens are not read")
    return Account(username, password)


def _presentable(key: str, account: Account) -> Account:
    """Half of a surrogate pair, which JSON can spell, cannot be sent."""
    try:
        account.basic()
    except UnicodeEncodeError:
        raise NoAccount(f"auths[{key[:80]!r}] has characters that are none") from None
    return account
