"""``python -m racksalt.lab``: the same as ``racksalt lab run``."""

from __future__ import annotations

import sys

from racksalt.lab.host import main

if __name__ == "__main__":
    sys.exit(main())
