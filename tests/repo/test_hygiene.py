"""What must never be in a file of this project."""

from __future__ import annotations

import re
from importlib import metadata

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.support import source

# In two halves, so that this file does not hold what it forbids.
REGISTRIES = [
    left + right
    for left, right in (
        ("pypi.", "org"),
        ("pythonhosted.", "org"),
        ("registry.npm", "js"),
        ("deb.debian.", "org"),
        ("security.debian.", "org"),
        ("archive.ubuntu.", "com"),
        ("docker.", "io"),
        ("ghcr.", "io"),
        ("cdn.js", "delivr"),
        ("unp", "kg.com"),
        ("cdn", "js.cloudflare"),
        ("index", "-url"),
    )
]


def test_no_file_names_a_package_registry():
    """Where packages come from is the business of the machine that installs them."""
    found = [
        f"{path}: {name}"
        for path in source.files()
        if path.suffix not in {".js", ".css", ".map", ".woff2"} or "cdn" in str(path)
        for name in REGISTRIES
        if name in source.text(path).lower()
    ]
    assert not found, "\n".join(found)


def test_the_pinned_versions_are_exact_and_come_without_addresses():
    """constraints.txt has lines ``name==version``, with a marker at most."""
    line = re.compile(
        r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+( ; python_(full_)?version [<>]=? \"3\.\d+(\.\d+)?\")?$"
    )
    lines = source.text(source.Path("constraints.txt")).splitlines()
    wrong = [
        found for found in lines if found and not found.startswith("#") and not line.match(found)
    ]
    assert not wrong
    assert len(lines) > 50


def test_no_private_key_is_committed():
    """Keys are made where they are used."""
    marker = "-----BEGIN " + "PRIVATE KEY"
    rsa = "-----BEGIN RSA " + "PRIVATE KEY"
    found = [str(p) for p in source.files() if marker in source.text(p) or rsa in source.text(p)]
    assert not found


def test_changelog_fragments_are_named_as_towncrier_wants_them():
    """``changelog/+<slug>.<type>.md``, one sentence that a user understands."""
    name = re.compile(
        r"^\+[a-z0-9-]+\.(breaking|removed|deprecated|changed|fixed|added|security)\.md$"
    )
    fragments = [p for p in source.under("changelog") if p.name != ".gitkeep"]
    assert fragments
    assert not [p.name for p in fragments if not name.match(p.name)]
    assert not [p.name for p in fragments if not source.text(p).strip()]


def test_no_pin_needs_a_later_patch_release_than_it_says():
    """Distributions' Python 3.11 may be 3.11.2: a pin for all of 3.11 must take that."""
    oldest = {**default_environment(), "python_full_version": "3.11.0", "python_version": "3.11"}
    lines = source.text(source.Path("constraints.txt")).splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    wanted = {
        canonicalize_name(p.name): p for p in pins if not p.marker or p.marker.evaluate(oldest)
    }
    looked_at = 0
    for found in metadata.distributions():
        pin = wanted.get(canonicalize_name(found.metadata["Name"]))
        if pin is not None and found.version in pin.specifier:
            needs = SpecifierSet(found.metadata.get("Requires-Python") or "")
            assert "3.11.0" in needs, f"{pin.name} {found.version} needs Python {needs}"
            looked_at += 1
    assert looked_at > 100
