"""``python -m cestle``: the command line."""

from cestle.cli import main

main()
