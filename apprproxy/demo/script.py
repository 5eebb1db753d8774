"""What the demo says around its table."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.text import Text

from apprproxy.demo.commands import LOOPBACK, commands
from apprproxy.demo.embedded import HUB, LIAR, OLD_QUAY, Upstreams
from apprproxy.demo.gateway import PORT

_ABOUT = {
    HUB: "an OCI registry",
    OLD_QUAY: "an App Registry",
    LIAR: "an upstream that alters what it sends",
}


def console(environment: Mapping[str, str]) -> Console:
    """Plain where standard output is no terminal, or NO_COLOR is set."""
    return Console(force_terminal=False if environment.get("NO_COLOR") else None, highlight=False, emoji=False)


def introduce(console: Console, url: str, upstreams: Upstreams) -> None:
    console.print(Text.assemble("A gateway at ", (url, "bold"), ", with an empty cache, in front of"))
    for name, server in upstreams.servers.items():
        console.print(Text.assemble("  ", (f"{name:<8}", "bold"), f"  {_ABOUT[name]}, {server.url}"), soft_wrap=True)
    if not url.endswith(f":{PORT}"):
        console.print(f"(Port {PORT} is taken by another program, so this is a free one.)")
    console.print("Each thing is pulled first, again, and with the upstreams stopped.")


def suggest(console: Console, url: str, log: Path, *, proxied: bool) -> None:
    """``proxied``: requests of clients for loopback would go to a proxy."""
    console.print("\nThe upstreams run again, and the gateway keeps serving. To try:")
    if proxied:
        _command(console, "Your environment names a proxy; loopback must not go there", [f"export no_proxy={LOOPBACK}"])
    for title, lines in commands(url).items():
        _command(console, title, lines)
    _command(console, "What the gateway makes of it", [f"tail -f {log}"])
    console.print("\nCtrl-C ends it, and removes its temporary folder.")


def _command(console: Console, title: str, lines: list[str]) -> None:
    console.print(Text(f"# {title}", "dim"))
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)


def end(console: Console) -> None:
    console.print("\nThe demo has ended; nothing of it is left.")
