"""``python -m comix``: the command line of :mod:`comix.cli`."""

from comix.cli import main

if __name__ == "__main__":
    main()
