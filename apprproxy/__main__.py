"""``python -m apprproxy``."""

from apprproxy.cli import main

if __name__ == "__main__":
    main()
