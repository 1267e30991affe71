"""`python -m sia`: the same as the console script."""

from sia.cli.main import main

if __name__ == "__main__":
    main()
