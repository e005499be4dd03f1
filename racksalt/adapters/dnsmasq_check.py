"""Lets dnsmasq itself say whether it can read generated lines, before any of them is used."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from racksalt.adapters.dhcp_files import NEW, Folder
from racksalt.model.errors import DhcpError
from racksalt.network.dnsmasq import test_file

_WHERE = re.compile(r"^dnsmasq: (.*?) at line (\d+) of ", re.MULTILINE)
TIMEOUT_S = 60
MOST_REFUSED = 20


class Checker:
    """Runs ``dnsmasq --test``. It reads one file and none in folders, so hosts and options are put into that one."""

    def __init__(self, path: str, folder: Folder) -> None:
        self._path, self._folder = path, folder

    def refused(self, main: str, files: Mapping[str, str]) -> dict[str, str]:
        """Return the nodes whose files dnsmasq cannot read, with what it says.

        Raises:
            DhcpError: it cannot read the main file, or refuses more nodes than can be right.
        """
        found: dict[str, str] = {}
        while True:
            lines = [
                (name.partition("/")[2], _as_setting(name, line))
                for name, text in files.items()
                for line in text.splitlines()
                if not name.startswith("names.d/") and name.partition("/")[2] not in found
            ]
            text = main + test_file(line for _, line in lines)
            said = self._said(text)
            if said is None:
                return found
            where = _WHERE.search(said)
            number = int(where[2]) - main.count("\n") if where else 0
            if where is None or number < 1 or len(found) >= MOST_REFUSED:
                line = text.splitlines()[int(where[2]) - 1] if where else ""
                raise DhcpError(
                    f"dnsmasq refuses the generated line {line!r}: {where[1] if where else said}",
                    "the files in use are unchanged; mend what it names in settings or site",
                )
            found[lines[number - 1][0]] = where[1]

    def _said(self, text: str) -> str | None:
        """Return what dnsmasq says against a text, None if nothing."""
        name = f"{NEW}/check.conf"
        path = self._folder.root / name
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run(  # noqa: S603  the command line is made by us
                [self._path, "--test", f"--conf-file={path}"],
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_S,
            )
        finally:
            path.unlink(missing_ok=True)
        return done.stderr.strip() if done.returncode else None


def _as_setting(name: str, line: str) -> str:
    setting = "dhcp-host" if name.startswith("hosts.d/") else "dhcp-option-force"
    return f"{setting}={line}"
