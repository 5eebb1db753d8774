"""`apprproxy demo`: a real gateway in front of small upstreams of its own, one of which lies, and what came of it."""
