"""OCI distribution, both directions: towards clients and towards upstreams (OCI distribution specification)."""
