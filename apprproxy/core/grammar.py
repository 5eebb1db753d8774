"""What repositories, tags, packages and formats are called: regular expressions, the same in paths, lock files and
configurations."""

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = rf"{COMPONENT}(?:/{COMPONENT})*"
MAX_REPOSITORY = 255
TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
"""OCI distribution specification, "Pulling manifests"."""

PACKAGE_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}"
"""A namespace, or a name within it."""
FORMAT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
NO_RELEASE = r"(?:\.{1,2}|blobs|channels)"
"""Dot segments, and words that stand in a release's place: what is asked of an upstream would be something else than
what was looked at."""
