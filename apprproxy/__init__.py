"""A verifying, caching gateway in front of App Registry and OCI registries (Helm charts, images, signatures)."""

__version__ = "0.1.0"
