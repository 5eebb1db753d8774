"""The configuration: what is read, what is refused, and what an operator is told."""
