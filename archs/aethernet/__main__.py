"""`python -m aethernet` is the `aethernet` command."""

import sys

from aethernet.cli import main

if __name__ == "__main__":
    sys.exit(main())
