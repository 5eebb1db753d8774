"""The gateway's own end points for people and tools, below ``/api``: the search, and where bytes came from."""
