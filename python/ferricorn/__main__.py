"""The command line: `ferricorn`, or `python -m ferricorn`."""

import sys

from ferricorn import _native, standin


def main() -> None:
    """Runs the server and leaves with its exit code."""
    standin.register()
    argv = ["ferricorn", *sys.argv[1:]]
    sys.exit(_native.main(argv))


if __name__ == "__main__":
    main()
