"""A name: asked of its owner, or of each member of a place, and made durable."""
