"""How connections are secured, and whose account is used: what settings name, opened."""

import ssl

from yarl import URL

from apprproxy.settings import BadConfiguration
from apprproxy.settings.model import ServerTls
from apprproxy.settings.reach import ClientTls
from apprproxy.settings.upstream import Auth
from apprproxy.upstream.accounts import Accounts, NoAccount, docker_account_of, fixed, from_file, password_of
from apprproxy.upstream.auth import Account


def account(name: str, auth: Auth | None, url: URL) -> Accounts:
    """Raises BadConfiguration."""
    if auth is None:
        return fixed(None)
    try:
        if auth.docker_config is not None:
            return from_file(auth.docker_config, docker_account_of(*_written(url)))
        if auth.password_file is not None:
            return from_file(auth.password_file, password_of(auth.username))
    except NoAccount as error:
        key = "docker_config" if auth.docker_config is not None else "password_file"
        raise BadConfiguration(f"upstreams.{name}.auth.{key}: {error}") from None
    return fixed(Account(auth.username, auth.password.get_secret_value() if auth.password else ""))


def _written(url: URL) -> set[str]:
    """Its host as people write it: with its port, and without where that is the default."""
    return {f"{url.host_subcomponent}:{url.port}", str(url.host_port_subcomponent)}


def client_tls(path: str, settings: ClientTls) -> ssl.SSLContext | bool:
    """``path`` is that of the key above; raises BadConfiguration."""
    if settings == ClientTls():
        return True
    try:
        context = ssl.create_default_context()
        if settings.ca_file is not None:
            context.load_verify_locations(settings.ca_file)
        if settings.cert is not None:
            context.load_cert_chain(settings.cert, settings.key)
    except OSError as error:
        raise BadConfiguration(f"{path}.tls: {error.strerror or error}") from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def server_tls(settings: ServerTls | None) -> ssl.SSLContext | None:
    """Raises BadConfiguration."""
    if settings is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert, settings.key)
    except OSError as error:
        raise BadConfiguration(f"server.tls: {error.strerror or error}") from None
    return context
