"""Bytes by digest on disk: growing, verified, then visible."""
