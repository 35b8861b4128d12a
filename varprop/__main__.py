"""``python -m varprop`` is the console script."""

from varprop.cli import main

if __name__ == "__main__":
    main()
