"""The cache directory: whose it is, that it can be relied on, and how a file in it is locked, written and mended."""
