"""``python -m racksalt.lab.qemu``: the machines of a QEMU lab, in the namespace of the caller."""

from __future__ import annotations

import sys

from racksalt.lab.qemu.host import main

if __name__ == "__main__":
    sys.exit(main())
