"""Keys of the configuration whose feature is not built yet: each is refused by name, rather than ignored."""

import re

PLANNED = {
    r"server\.workers": "several processes",
    r"upstreams\..+\.mirrors\.\d+\.auth": "an account at a mirror; the upstream's own is never sent to one",
}


def planned(path: str) -> str | None:
    """What a key is for that this version does not have, None for a key that nobody has heard of."""
    return next((feature for pattern, feature in PLANNED.items() if re.fullmatch(pattern, path)), None)
