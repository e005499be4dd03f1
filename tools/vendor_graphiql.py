"""Fetches GraphiQL anew: ``python tools/vendor_graphiql.py`` writes graphql_api/http/assets/vendor.

The versions stand in tools/graphiql/package.json; npm fetches them into a temporary folder. Only built files that run
in the browser are kept, as they were published, and the licence of every package that is in them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "tools/graphiql/package.json"
TARGET = ROOT / "graphql_api/http/assets/vendor"
FILES = {
    "graphiql/graphiql.min.js": "graphiql.min.js",
    "graphiql/graphiql.min.css": "graphiql.min.css",
    "react/umd/react.production.min.js": "react.production.min.js",
    "react-dom/umd/react-dom.production.min.js": "react-dom.production.min.js",
}
FONTS = """The style sheet holds the fonts Roboto (Apache License 2.0) and Fira Code (SIL Open Font License 1.1)."""


def install(folder: Path) -> Path:
    """Install the recipe's packages, without running any of their scripts; return node_modules."""
    shutil.copy(RECIPE, folder)
    subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
        cwd=folder,
        check=True,
    )
    return folder / "node_modules"


def licences(modules: Path) -> str:
    """Return every package's name, version and licence, equal texts once."""
    texts: dict[str, tuple[str, list[str]]] = {}
    for manifest in sorted(modules.glob("**/package.json")):
        about = json.loads(manifest.read_text(encoding="utf-8"))
        if "name" not in about or "version" not in about or about["name"].startswith("@types/"):
            continue
        name = f"{about['name']} {about['version']} ({about.get('license', 'see text')})"
        found = sorted(path for path in manifest.parent.glob("LICEN[SC]E*") if path.is_file())
        text = found[0].read_text(encoding="utf-8").strip() if found else ""
        key = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
        texts.setdefault(key, (text, []))[1].append(name)
    parts = ["Licences of what is in this folder.", FONTS]
    for text, names in texts.values():
        listed = "\n".join(sorted(set(names)))
        parts.append(f"{listed}\n\n{text or '(the package carries no text of its own)'}")
    return f"\n\n{'-' * 72}\n\n".join(parts) + "\n"


def main() -> None:
    """Write the vendored files."""
    with tempfile.TemporaryDirectory() as folder:
        modules = install(Path(folder))
        TARGET.mkdir(parents=True, exist_ok=True)
        for source, name in FILES.items():
            shutil.copyfile(modules / source, TARGET / name)
        (TARGET / "LICENSES.txt").write_text(licences(modules), encoding="utf-8")
    for path in sorted(TARGET.iterdir()):
        print(f"{path.stat().st_size:>9} {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
