"""`python -m sia.prepare`, the same as `sia prepare`."""

import sys

from sia.cli.main import main

if __name__ == "__main__":
    main(["prepare", *sys.argv[1:]])
