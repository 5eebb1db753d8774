"""What is held, how large, used when, seen by whom and kept by which pin: tables in sqlite."""
