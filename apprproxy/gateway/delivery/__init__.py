"""Bytes on their way to one client: what may leave, and when."""
