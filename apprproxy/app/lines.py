"""How connections are secured, whose account is used, which names are locked: the files that settings name, opened."""

import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cryptography import x509
from yarl import URL

from apprproxy.core.lock import BadLock
from apprproxy.core.tls import to_anybody, towards_clients, towards_servers
from apprproxy.settings import BadConfiguration
from apprproxy.settings.model import ServerTls
from apprproxy.settings.reach import ClientTls
from apprproxy.settings.upstream import Auth
from apprproxy.store.names.lock_file import Locks, watched
from apprproxy.upstream.accounts import Accounts, NoAccount, docker_account_of, fixed, from_file, password_of
from apprproxy.upstream.auth import Account


def account(
    name: str,
    auth: Auth | None,
    url: URL,
    trouble: Callable[[str], None] = lambda _: None,
    renewed: Callable[[], None] = lambda: None,
) -> Accounts:
    """``renewed`` is told of a later version of its file, ``trouble`` what is wrong with one; raises
    BadConfiguration."""
    if auth is None:
        return fixed(None)
    try:
        if auth.docker_config is not None:
            return from_file(_whole(auth.docker_config), docker_account_of(*written(url)), trouble, renewed)
        if auth.password_file is not None:
            return from_file(_whole(auth.password_file), password_of(auth.username), trouble, renewed)
    except NoAccount as error:
        raise BadConfiguration(f"upstreams.{name}.auth.{auth.key}: {error}") from None
    return fixed(Account(auth.username, auth.password.get_secret_value() if auth.password else ""))


def _whole(path: Path) -> Path:
    """Where it is looked for: what is relative begins where this process was started."""
    with suppress(FileNotFoundError):  # that has been deleted
        return path.absolute()
    return path


def written(url: URL) -> set[str]:
    """Its host as people write it: with its port, and without where that is the default."""
    return {f"{url.host_subcomponent}:{url.port}", str(url.host_port_subcomponent)}


def client_tls(path: str, settings: ClientTls) -> ssl.SSLContext:
    """Towards the place itself. ``path`` is that of the key above; raises BadConfiguration."""
    if settings == ClientTls():
        return to_anybody()
    context = _trusting(path, settings.ca_file)
    if settings.cert is not None and settings.key is not None:
        _identified(context, f"{path}.tls", settings.cert, settings.key)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def foreign_tls(path: str, settings: ClientTls) -> ssl.SSLContext:
    """Towards the hosts that it leads to, its token server above all, and a proxy on the way: always verified, by the
    same authorities, for a company's that looks into TLS signs for all of them; and without our certificate."""
    return to_anybody() if settings.ca_file is None else _trusting(path, settings.ca_file)


def server_tls(settings: ServerTls | None) -> ssl.SSLContext | None:
    """Raises BadConfiguration."""
    if settings is None:
        return None
    context = towards_clients()
    _identified(context, "server.tls", settings.cert, settings.key)
    return context


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Of a certificate, in Unix time."""

    begins: float
    ends: float


def lifetime(settings: ServerTls | None) -> Lifetime | None:
    """None where there is no certificate that can be read, which ``server_tls`` says."""
    if settings is None:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(settings.cert.read_bytes())
    except (OSError, ValueError):
        return None
    return Lifetime(certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp())


def _trusting(path: str, ca_file: Path | None) -> ssl.SSLContext:
    context = towards_servers()
    if ca_file is None:
        return context
    ca_file = _whole(ca_file)
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise BadConfiguration(f"{path}.tls.ca_file: {ca_file}: no PEM certificates") from None
    except OSError as error:
        raise BadConfiguration(f"{path}.tls.ca_file: {ca_file}: {error.strerror}") from None
    return context


def _identified(context: ssl.SSLContext, path: str, cert: Path, key: Path) -> None:
    """The library says neither which file it could not read, nor what it had expected of it."""
    cert, key = _whole(cert), _whole(key)
    for name, file in (("cert", cert), ("key", key)):
        try:
            file.open("rb").close()
        except OSError as error:
            raise BadConfiguration(f"{path}.{name}: {file}: {error.strerror}") from None

    def asked() -> NoReturn:  # else the library asks at the terminal, or waits for a line of a pipe
        raise BadConfiguration(f"{path}.key: {key}: it has a pass phrase; give a key without one")

    try:
        context.load_cert_chain(cert, key, asked)
    except ssl.SSLError as error:
        another = error.reason == "KEY_VALUES_MISMATCH"
        why = "the key is another certificate's" if another else "they are not a certificate and its key in PEM"
        raise BadConfiguration(f"{path}: {cert}, {key}: {why}") from None


def lock(name: str, path: Path, trouble: Callable[[str], None], renewed: Callable[[], None] = lambda: None) -> Locks:
    """As ``account``."""
    try:
        return watched(_whole(path), trouble, renewed)
    except BadLock as error:
        missing = "" if os.access(path, os.F_OK) else "; `apprproxy names lock` writes one"
        raise BadConfiguration(f"upstreams.{name}.lock_file: {error}{missing}") from None
