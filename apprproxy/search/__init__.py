"""The search over the names of many upstreams, kept in memory and in the cache directory."""
