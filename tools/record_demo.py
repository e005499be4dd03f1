"""Runs the demo and puts its output into README.md and the tutorial: `.venv/bin/python -m tools.record_demo`.

README gets the beginning, the end and the GraphQL answer; the tutorial gets all of it. What changes from run to run
(folders, ports) is replaced by something that stays.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from racksalt.lab.demo import QUERY

ROOT = Path(__file__).resolve().parent.parent
HEAD, TAIL = 8, 6
"""Lines of progress that README shows at the beginning and at the end."""


def steady(text: str) -> str:
    """Return the output with a fixed folder and fixed ports."""
    text = re.sub(r"/racksalt-[a-z0-9_]{8}\b", "/racksalt-demo", text)
    text = re.sub(r"(http://127\.0\.0\.1):\d+/graphql", r"\1:8801/graphql", text)
    return re.sub(r"(http://127\.0\.0\.1):(?!8801)\d+", r"\1:8800", text)


def put(path: Path, name: str, block: str) -> None:
    """Write a block between its markers."""
    marked = re.compile(rf"(<!-- recorded:{name} -->\n).*?(<!-- /recorded:{name} -->)", re.DOTALL)
    text = path.read_text(encoding="utf-8")
    if not marked.search(text):
        raise LookupError(f"{path} has no markers recorded:{name}")
    path.write_text(marked.sub(lambda m: f"{m[1]}{block}\n{m[2]}", text), encoding="utf-8")


def main() -> int:
    """Run the demo once; change nothing if it fails."""
    ran = subprocess.run(
        [sys.executable, "-m", "racksalt", "demo", "--exit"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if ran.returncode:
        print(ran.stdout, ran.stderr)
        return ran.returncode
    output = steady(ran.stdout).strip()
    walk, rest = output.split("\nPOST ", 1)
    answer = rest.split(QUERY, 1)[1].split("\n\nGraphQL ", 1)[0].strip()
    lines = walk.strip().splitlines()
    shown = [*lines[:HEAD], "   …", *lines[-TAIL - 4 :]]
    body = "\n".join(["$ make demo", *shown])
    put(ROOT / "README.md", "demo", f"```console\n{body}\n```")
    put(
        ROOT / "README.md",
        "query",
        f"```graphql\n{QUERY}\n```\n\n```json\n{answer}\n```",
    )
    put(ROOT / "docs/tutorial/first-rack.md", "demo", f"```console\n$ make demo\n{output}\n```")
    return 0


if __name__ == "__main__":
    sys.exit(main())
