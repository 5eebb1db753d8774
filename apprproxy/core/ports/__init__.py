"""What the use case needs of the world, as small protocols shaped by their callers."""
