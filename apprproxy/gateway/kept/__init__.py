"""What is remembered and what is held, as the use case sees it, and for how long it counts."""
