"""What is kept here: verified blobs, names that point at them, and short-lived answers."""
