"""The program `racksalt`, and ``python -m racksalt``."""

from __future__ import annotations

import gc


def main() -> None:
    """Load the commands and run one.

    What is loaded stays, so that looking for garbage in it would be a tenth of the time that each command takes.
    """
    gc.disable()
    from racksalt.cli import main as run

    gc.freeze()
    gc.enable()
    run()


if __name__ == "__main__":
    main()
