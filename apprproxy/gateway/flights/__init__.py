"""Bytes by digest on their way in: one transfer for all who want them, whom it asks, and who is to blame."""
