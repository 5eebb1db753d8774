"""Whatever reads foreign bytes, held to its laws for bytes that nobody thought of."""
