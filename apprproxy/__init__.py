"""A verifying, caching gateway in front of App Registry, OCI and Helm registries."""

__version__ = "0.1.0"
