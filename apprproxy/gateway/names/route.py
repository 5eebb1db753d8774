"""Who is asked, in which order. Pure."""

from apprproxy.core.model import Place


def order(place: Place, remembered: str | None) -> tuple[str, ...]:
    """The members of a place; whoever had the thing before is asked first, if it is still a member."""
    if remembered is None or remembered not in place.members:
        return place.members
    return (remembered, *(name for name in place.members if name != remembered))


def home(place: Place, repository: str) -> str:
    """The key under which a view remembers who has a repository; an image and a package may have one name."""
    return f"repository {place.protocol or '-'} {repository}"
