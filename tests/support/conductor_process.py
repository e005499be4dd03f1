"""A conductor in a process of its own: ``python -m tests.support.conductor_process SETTINGS``; ends with its input."""

from __future__ import annotations

import sys

from racksalt.bootstrap import open_app, settings_from


def main():
    """Drive until standard input is closed."""
    app = open_app(settings_from(sys.argv[1]))
    app.start()
    sys.stdout.write("at work\n")
    sys.stdout.flush()
    sys.stdin.read()
    app.close()


if __name__ == "__main__":
    main()
