"""
Ports of a Linux switch that runs this minion: VLANs, edge, LLDP-MED and descriptions of a bridge's ports.

Programs: ``ip`` and ``bridge`` of iproute2 (5.0 or later, for JSON); ``lldpcli`` where lldpd runs (``-M 4``).
VLANs by IEEE 802.1Q; an edge port is one with a BPDU guard, which a switch behind it cannot get past.
"""

import json

from salt.exceptions import CommandExecutionError

_BOTH = frozenset({"PVID", "Egress Untagged"})


def bridge(name="bridge"):
    """
    Return whether the bridge is ``absent``, ``plain`` (mixes VLANs) or ``filtering`` (keeps them apart).

    CLI Example:

    .. code-block:: bash

        salt 'tor-r1' racksalt_switch.bridge
    """
    for link in _json("ip", "-json", "-details", "link", "show"):
        if link.get("ifname") == name:
            data = link.get("linkinfo", {}).get("info_data", {})
            return "filtering" if data.get("vlan_filtering") else "plain"
    return "absent"


def make_bridge(name="bridge"):
    """
    Make the bridge if it is absent, and let it keep VLANs apart.

    CLI Example:

    .. code-block:: bash

        salt 'tor-r1' racksalt_switch.make_bridge
    """
    if __salt__["racksalt_switch.bridge"](name) == "absent":
        _run("ip", "link", "add", "name", name, "type", "bridge")
    _run("ip", "link", "set", "dev", name, "type", "bridge", "vlan_filtering", "1")
    _run("ip", "link", "set", "dev", name, "up")
    return True


def ports(bridge="bridge"):
    """
    Return the bridge's ports: ``untagged`` (a VLAN or None), ``tagged`` and ``stray`` (VLANs that pass one way
    without a tag and not the other), ``edge``, ``lldp_med`` and ``description``.

    CLI Example:

    .. code-block:: bash

        salt 'tor-r1' racksalt_switch.ports
    """
    links = _json("ip", "-json", "link", "show")
    guards = _json("bridge", "-json", "-details", "link", "show")
    guards = {it["ifname"]: bool(it.get("guard")) for it in guards}
    tables = {it["ifname"]: _table(it) for it in _json("bridge", "-json", "vlan", "show")}
    told = _announced()
    mine = {it["ifname"]: it.get("ifalias", "") for it in links if it.get("master") == bridge}
    return {
        name: {**_passing(tables.get(name, {})), "edge": guards.get(name, False)}
        | {"lldp_med": name in told, "description": alias}
        for name, alias in mine.items()
    }


def changes(
    name, bridge="bridge", untagged=None, tagged=None, edge=None, lldp_med=None, description=None
):
    """
    Return what would change on a port: ``{setting: {"old": …, "new": …}}``, empty if it is as wanted.

    untagged
        the VLAN of frames without a tag; None: there is none

    tagged
        list of the VLANs of frames with a tag

    edge, lldp_med, description
        None leaves them as they are

    CLI Example:

    .. code-block:: bash

        salt 'tor-r1' racksalt_switch.changes swp7 untagged=110 tagged='[120]' edge=True
    """
    now = __salt__["racksalt_switch.ports"](bridge).get(name)
    then = _wanted(untagged, tagged, edge=edge, lldp_med=lldp_med, description=description)
    if now is None:
        return {"member": {"old": False, "new": True}, **_differences(_FRESH, then)}
    return _differences(now, then)


def set_port(
    name, bridge="bridge", untagged=None, tagged=None, edge=None, lldp_med=None, description=None
):
    """
    Bring a port to what is wanted (see ``changes``), and return what was changed.

    CLI Example:

    .. code-block:: bash

        salt 'tor-r1' racksalt_switch.set_port swp7 untagged=110 tagged='[120]' edge=True
    """
    others = {"edge": edge, "lldp_med": lldp_med, "description": description}
    found = __salt__["racksalt_switch.changes"](name, bridge, untagged, tagged, **others)
    if "member" in found:
        _run("ip", "link", "set", "dev", name, "master", bridge)
        _run("ip", "link", "set", "dev", name, "up")
    if {"untagged", "tagged", "stray"} & found.keys():
        _set_vlans(name, _wanted(untagged, tagged))
    for setting, act in (("edge", _set_edge), ("lldp_med", _set_med), ("description", _set_alias)):
        if setting in found:
            act(name, found[setting]["new"])
    return found


_FRESH = {
    "untagged": 1,
    "tagged": [],
    "stray": [],
    "edge": False,
    "lldp_med": False,
    "description": "",
}


def _wanted(untagged, tagged, **others):
    vlans = sorted({int(vlan) for vlan in tagged or []})
    untagged = None if untagged is None else int(untagged)
    if any(not 1 <= vlan <= 4094 for vlan in [*vlans, untagged or 1]) or untagged in vlans:
        raise CommandExecutionError("VLANs are 1 to 4094, each with or without a tag")
    told = {key: value for key, value in others.items() if value is not None}
    return {"untagged": untagged, "tagged": vlans, "stray": [], **told}


def _differences(now, then):
    return {
        key: {"old": now[key], "new": value} for key, value in then.items() if now[key] != value
    }


def _table(told):
    found = {}
    for it in told.get("vlans", []):
        flags = frozenset(it.get("flags", [])) & _BOTH
        found.update(dict.fromkeys(range(it["vlan"], it.get("vlanEnd", it["vlan"]) + 1), flags))
    return found


def _passing(table):
    return {
        "untagged": next((vlan for vlan, flags in table.items() if flags == _BOTH), None),
        "tagged": sorted(vlan for vlan, flags in table.items() if not flags),
        "stray": sorted(vlan for vlan, flags in table.items() if flags and flags != _BOTH),
    }


def _set_vlans(name, wanted):
    table = {it["ifname"]: _table(it) for it in _json("bridge", "-json", "vlan", "show")}
    now = table.get(name, {})
    then = dict.fromkeys(wanted["tagged"], frozenset())
    if wanted["untagged"] is not None:
        then[wanted["untagged"]] = _BOTH
    # The untagged one last: it takes that mark away from another.
    for vlan in sorted(then, key=lambda vlan: (bool(then[vlan]), vlan)):
        if now.get(vlan) != then[vlan]:
            marks = ["pvid", "untagged"] if then[vlan] else []
            _run("bridge", "vlan", "add", "dev", name, "vid", str(vlan), *marks)
    for vlan in sorted(now.keys() - then):
        _run("bridge", "vlan", "del", "dev", name, "vid", str(vlan))


def _set_edge(name, value):
    _run("bridge", "link", "set", "dev", name, "guard", "on" if value else "off")


def _set_med(name, value):
    policy = ["med", "policy", "application", "voice"]
    _run("lldpcli", "configure", "ports", name, *policy, *([] if value else ["unknown"]))


def _set_alias(name, value):
    _run("ip", "link", "set", "dev", name, "alias", value)


def _announced():
    """Return the ports on which LLDP-MED announces a policy; none where lldpd does not run."""
    argv = ["lldpcli", "-f", "json0", "show", "interfaces", "details"]
    done = __salt__["cmd.run_all"](argv, python_shell=False, ignore_retcode=True)
    try:
        told = json.loads(done["stdout"]).get("lldp", []) if not done["retcode"] else []
    except ValueError:
        return set()
    found = set()
    for interface in [it for outer in told for it in outer.get("interface", [])]:
        policies = [it for med in interface.get("lldp-med", []) for it in med.get("policy", [])]
        if any(it.get("apptype") == "Voice" and it.get("defined") for it in policies):
            found.add(interface["name"])
    return found


def _json(*argv):
    try:
        return json.loads(_run(*argv) or "[]")
    except ValueError:
        raise CommandExecutionError(
            f"{argv[0]} printed no JSON: is iproute2 older than 5.0?"
        ) from None


def _run(*argv):
    done = __salt__["cmd.run_all"](list(argv), python_shell=False, ignore_retcode=True)
    if done["retcode"]:
        raise CommandExecutionError(f"{' '.join(argv)}: {done['stderr'] or done['stdout']}")
    return done["stdout"]
