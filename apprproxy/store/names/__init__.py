"""What names point at, and all else that is small: records in a database or in memory, and files of our own."""
