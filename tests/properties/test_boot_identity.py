"""Laws of identity and of boot scripts, for any input."""

from __future__ import annotations

import contextlib
import re

from hypothesis import given
from hypothesis import strategies as st

from racksalt.boot import script, tokens
from racksalt.boot.identity import Known, claim, decide, score, swapped
from racksalt.model.errors import InvalidInputError

ASK = "http://10.0.0.1:8000/v1/boot/script?mac=52-54-00-00-00-01"

macs = st.integers(1, 6).map(lambda i: f"52:54:00:00:00:{i:02x}")
uuids = st.sampled_from(
    ["", *(f"4c4c4544-0051-3010-8057-b7c04f4d35{i:02x}" for i in range(3)), "0" * 36]
)
serials = st.sampled_from(["", "None", "SN1", "SN2", "SN3"])
claims = st.builds(claim, macs, uuids, serials)


@st.composite
def fleets(draw):
    """Draw nodes that share no MAC but may share UUIDs and serials, as real ones do."""
    owned = draw(st.dictionaries(macs, st.sampled_from(["n1", "n2", "n3"])))
    fleet = []
    for node in ("n1", "n2", "n3"):
        mine = draw(claims)
        has = frozenset(mac for mac, owner in owned.items() if owner == node)
        fleet.append(Known(node=node, macs=has, uuid=mine.uuid, serial=mine.serial))
    return fleet


@given(fleets(), claims)
def test_the_order_of_the_candidates_does_not_matter(fleet, claimed):
    """The same machine is the same node, in whatever order the store lists them."""
    one, other = decide(fleet, claimed), decide(fleet[::-1], claimed)
    assert one.kind == other.kind
    if one.kind == "match":
        assert one.node == other.node


@given(fleets(), claims)
def test_a_match_is_never_contradicted(fleet, claimed):
    """No machine becomes a node whose UUID or serial number it contradicts."""
    verdict = decide(fleet, claimed)
    if verdict.kind == "match":
        node = next(known for known in fleet if known.node == verdict.node)
        for known, said in ((node.uuid, claimed.uuid), (node.serial, claimed.serial)):
            assert known is None or said is None or known == said


@given(fleets(), claims)
def test_the_owner_of_a_mac_is_never_passed_over(fleet, claimed):
    """A machine with a known MAC is that node or held, never another node and never new."""
    owner = next((known.node for known in fleet if claimed.mac in known.macs), None)
    verdict = decide(fleet, claimed)
    if owner is not None:
        assert verdict.kind == "conflict" or (verdict.kind, verdict.node) == ("match", owner)


@given(fleets(), claims)
def test_a_mac_alone_is_no_node(fleet, claimed):
    """Of a node's UUID and serial number at least one agrees, wherever it has any on record."""
    verdict = decide(fleet, claimed)
    if verdict.kind == "match":
        node = next(known for known in fleet if known.node == verdict.node)
        kept = {(node.uuid, claimed.uuid), (node.serial, claimed.serial)}
        assert (node.uuid, node.serial) == (None, None) or any(a == b for a, b in kept if a)


@given(fleets(), claims)
def test_no_stranger_makes_a_node_unknown_or_held(fleet, claimed):
    """What a machine of another MAC reports takes no node from the owner of its MAC."""
    before = decide(fleet, claimed)
    owner = next((known for known in fleet if claimed.mac in known.macs), None)
    if before.kind == "match" and owner is not None:
        ghost = Known(
            node="ghost",
            macs=frozenset({"52:54:00:00:00:66"}),
            uuid=claimed.uuid,
            serial=claimed.serial,
        )
        after = decide([ghost, *fleet], claimed)
        assert (after.kind, after.node) == ("match", before.node)


@given(fleets(), claims)
def test_byte_order_changes_no_verdict(fleet, claimed):
    """A firmware that spells its UUID the other way is the same machine."""
    if claimed.uuid:
        turned = claim(claimed.mac, swapped(claimed.uuid), claimed.serial or "")
        assert [score(k, claimed).kind for k in fleet] == [score(k, turned).kind for k in fleet]


@given(st.text(max_size=200), st.integers(0, 60))
def test_any_reason_makes_a_script_of_the_same_shape(why, wait_s):
    """Whatever a machine claims, the script that shows it keeps its commands."""
    lines = script.hold_script(ASK, why=why, wait_s=wait_s).split("\n")
    plain = script.hold_script(ASK, why="x", wait_s=wait_s).split("\n")
    assert [line for line in lines if not line.startswith("echo ")] == [
        line for line in plain if not line.startswith("echo ")
    ]
    assert len(lines) == len(plain)
    assert not re.search(r"\$|&&|\|\||[^\x20-\x7e]", lines[1])


@given(st.text(max_size=60))
def test_a_script_has_no_variable_that_came_from_outside(text):
    """Text that is let in as a URL, argument or node id is free of what iPXE expands."""
    for build in (
        lambda: script.Image(
            kernel_url=f"http://h/{text}", initrd_url="http://h/i", extra_args=text
        ),
        lambda: script.local_script(text),
        lambda: script.hold_script(f"http://h/{text}"),
    ):
        with contextlib.suppress(InvalidInputError):
            build()
            assert not re.search(r"[\s${}#'\"|;]", text.strip())


boots = st.tuples(
    st.text(alphabet="abc123-.", min_size=1, max_size=8),
    st.integers(0, 9),
    st.sampled_from(["live", "installer", "local"]),
)


@given(boots, boots)
def test_two_boots_share_no_token(boot, other):
    """Tokens are equal for equal boots only."""
    secret = b"0123456789abcdef"
    assert (tokens.derive(secret, *boot) == tokens.derive(secret, *other)) == (boot == other)
