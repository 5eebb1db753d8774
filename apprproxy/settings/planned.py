"""Keys of the configuration whose feature is not built yet: each is refused by name, rather than ignored."""

import re

PLANNED = {
    r"server\.workers": "several processes",
    r"cache\.max_size": "the cap on the cache's size; until then watch the disk that cache.directory is on",
    r"delivery\.(stream|side_range)": "streaming as bytes arrive; all is verified before its first byte leaves",
    r"upstreams\..+\.mirrors.*": "mirrors; name a mirror as an upstream of its own meanwhile",
    r"upstreams\..+\.(names|lock_file)": "upstreams that are not trusted for names",
    r"upstreams\..+\.(allow|deny|own).*": "rules on repository names",
}


def planned(path: str) -> str | None:
    """What a key is for that this version does not have, None for a key that nobody has heard of."""
    return next((feature for pattern, feature in PLANNED.items() if re.fullmatch(pattern, path)), None)
