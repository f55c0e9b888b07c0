"""The command line: arguments in, exit codes and one-line errors out."""

import sys


def main() -> None:
    """Run `cestle`: numbers on stdout, messages on stderr, no traceback for a user."""
    from cestle.cli.app import run

    sys.exit(run(sys.argv[1:]))
