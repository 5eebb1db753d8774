"""Patterns of names: one that no name of the protocol can fit is refused, for a guard that is off looks like one that
is on. Pure."""

import re

from apprproxy.settings.protocols import KEYS, ProtocolName


def written(text: str) -> str:
    """Raises ValueError for what is no pattern in any protocol."""
    if not re.fullmatch(r"[A-Za-z0-9._/*?-]{1,255}", text):
        raise ValueError(
            f"not a pattern of repository or package names: {text[:80]!r}; * is any text, ? one character, and nothing"
            " else is special"
        )
    return text


def check(pattern: str, kind: ProtocolName) -> None:
    """Raises ValueError, which says what may have been meant."""
    if fits_none(pattern, kind):
        meant = _meant(pattern, kind)
        guess = "" if fits_none(meant, kind) else f"; did you mean {meant}?"
        raise ValueError(f"{pattern} fits no name that there can be for kind: {kind}{guess}")


def fits_none(pattern: str, kind: ProtocolName) -> bool:
    """Only what is sure: where it says False, some name may fit all the same or none."""
    return re.search(KEYS[kind].no_pattern, pattern) is not None


def _meant(pattern: str, kind: ProtocolName) -> str:
    """As a path, as a folder, as a regular expression, or with something in front, one may have written it."""
    segments = pattern.replace(".*", "*").split("/")
    folder = "/*" if not segments[-1] else ""
    said = [segment for segment in segments if segment]
    if kind == "appr":
        return "/".join(said[-1:] if folder else said[-2:]) + (folder or ("/*" if len(said) == 1 else ""))
    return ("/".join(said) + folder).lower()
