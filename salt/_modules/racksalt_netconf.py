"""
Writes the network configuration that the pillar gives a node, for systemd-networkd: NICs by their MACs,
bonds, VLANs, bridges, addresses, routes and name servers.

All files are racksalt's own, ``05-racksalt-*`` in ``etc/systemd/network``; others are left alone.
"""

import difflib
import ipaddress
import pathlib
import subprocess

from salt.exceptions import CommandExecutionError

PREFIX = "05-racksalt-"
_FOLDER = "etc/systemd/network"
_HEAD = "# Written by racksalt from the site's files; changes are lost.\n"
_UNITS = {
    "systemd-networkd.service": "multi-user.target.wants",
    "systemd-networkd.socket": "sockets.target.wants",
}
_HASHED = ("802.3ad", "balance-xor", "balance-tlb")


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "a virtual machine of the lab shares the network of its host"
    return True


def config():
    """
    Return the node's network configuration as the pillar has it.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_netconf.config
    """
    found = __salt__["pillar.get"]("racksalt:network", None, unmask=True)
    if not found or not found.get("interfaces"):
        message = "the pillar has no racksalt:network; was the node's inventory taken?"
        raise CommandExecutionError(message)
    return found


def render(network=None):
    """
    Return the text of each file of systemd-networkd by its name.

    network
        the configuration, as ``config`` returns it; that of the pillar if it is left out

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_netconf.render
    """
    network = network or config()
    files = {}
    for interface in network["interfaces"]:
        for suffix, sections in _files(interface, network).items():
            text = _HEAD + "".join(f"\n[{name}]\n{_lines(pairs)}" for name, pairs in sections)
            files[f"{PREFIX}{interface['name']}.{suffix}"] = text
    return files


def differences(root="/", network=None):
    """
    Return which files differ from what they should be: their new text, and None for one that goes.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_netconf.differences
    """
    folder, wanted = pathlib.Path(root, _FOLDER), render(network)
    stale = {path.name: None for path in folder.glob(f"{PREFIX}*") if path.name not in wanted}
    return {name: text for name, text in wanted.items() if _read(folder / name) != text} | stale


def preview(root="/"):
    """
    Return what ``write`` would change: by file, how it differs line by line.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_netconf.preview
    """
    changes = {}
    for name, text in differences(root).items():
        now = (_read(pathlib.Path(root, _FOLDER, name)) or "").splitlines()
        told = difflib.unified_diff(now, (text or "").splitlines(), "now", "then", lineterm="", n=1)
        changes[name] = "\n".join(told)
    return changes


def write(root="/", network=None):
    """
    Write the files that differ below a root and remove stale ones. Returns their names, sorted. In a
    root that is not running, systemd-networkd is switched on too.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_netconf.write /mnt/target
    """
    changed = differences(root, network)
    folder = pathlib.Path(root, _FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in changed.items():
        _replace(folder / name, text)
    enabled = [] if _is_running(root) else _enable(pathlib.Path(root))
    return sorted([*changed, *enabled])


def reload():
    """
    Let systemd-networkd read its files again and bring the interfaces to what they say.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_netconf.reload
    """
    _networkctl(["reload"])
    if _present():
        _networkctl(["reconfigure", *_present()])
    return True


def problems():
    """
    Return what the site declares and this node cannot have, such as a conduit that its NICs do not fit.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_netconf.problems
    """
    return list(config().get("problems") or [])


def _is_running(root):
    return pathlib.Path(root).resolve() == pathlib.Path("/")


def _networkctl(words):
    command = ["networkctl", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        message = f"{' '.join(command)}: {done.stderr.strip() or done.returncode}"
        raise CommandExecutionError(message)


def _present():
    names = [interface["name"] for interface in config()["interfaces"]]
    return [name for name in names if pathlib.Path("/sys/class/net", name).exists()]


def _read(path):
    try:
        return path.read_text()
    except (OSError, ValueError):
        return None


def _replace(path, text):
    if text is None:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    # The account of systemd-networkd is not root's.
    fresh.chmod(0o644)
    fresh.replace(path)


def _enable(root):
    done = []
    for unit, wants in _UNITS.items():
        link = root / "etc/systemd/system" / wants / unit
        if (root / "lib/systemd/system" / unit).exists() and not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(f"/lib/systemd/system/{unit}")
            done.append(f"{wants}/{unit}")
    return done


def _lines(pairs):
    return "".join(f"{key}={value}\n" for key, value in pairs if value is not None)


def _files(interface, network):
    """Return the sections of each file of an interface, by the file's suffix."""
    if interface["kind"] == "nic":
        match = [("PermanentMACAddress", interface["mac"])]
        first = {"link": [("Match", match), ("Link", [("Name", interface["name"])])]}
    else:
        match = [("Name", interface["name"])]
        first = {"netdev": _netdev(interface)}
    return {**first, "network": [("Match", match), *_network(interface, network)]}


def _netdev(interface):
    kind = interface["kind"]
    about = [("Name", interface["name"]), ("Kind", kind), ("MACAddress", interface.get("mac"))]
    more = {"vlan": [("VLAN", [("Id", interface.get("vlan"))])]}
    if kind == "bond":
        more["bond"] = [("Bond", _bond(interface["bond"]))]
    return [("NetDev", about), *more.get(kind, [])]


def _bond(bond):
    lacp = bond["mode"] == "802.3ad"
    return [
        ("Mode", bond["mode"]),
        ("MIIMonitorSec", f"{bond['miimon_ms']}ms"),
        ("LACPTransmitRate", bond["lacp_rate"] if lacp else None),
        ("TransmitHashPolicy", bond["hash_policy"] if bond["mode"] in _HASHED else None),
    ]


def _network(interface, network):
    """Return the sections of an interface's .network file besides what it matches."""
    smaller = interface.get("network_mtu", 0) < interface.get("mtu", 0)
    mtu = interface.get("network_mtu") if smaller else None
    idle = not interface["addresses"] and not interface.get("dhcp")
    link = [("MTUBytes", interface.get("mtu")), ("RequiredForOnline", "no" if idle else None)]
    own = [*_above(interface, network), *_asking(interface), *_dns(interface, network)]
    own.append(("IPv6MTUBytes", mtu if _has(interface, 6) else None))
    addresses = [it for text in interface["addresses"] for it in _address(text, mtu)]
    return [("Link", link), ("Network", own), *addresses, *_routes(interface, mtu)]


def _above(interface, network):
    """Return the lines that name what is on top of an interface."""
    name, lines = interface["name"], []
    for other in network["interfaces"]:
        if name in other.get("members", ()):
            lines.append(("Bond", other["name"]))
        elif other.get("on") == name:
            lines.append(("VLAN" if other["kind"] == "vlan" else "Bridge", other["name"]))
    return lines


def _asking(interface):
    dhcp, radv = bool(interface.get("dhcp")), bool(interface.get("accept_ra"))
    v6 = radv or _has(interface, 6)
    return [
        ("DHCP", _yes(dhcp)),
        ("LinkLocalAddressing", "ipv6" if v6 else "no"),
        ("IPv6AcceptRA", _yes(radv)),
    ]


def _dns(interface, network):
    if not interface["addresses"] and not interface.get("dhcp"):
        return []
    dns = network.get("dns") or {}
    servers = [("DNS", server) for server in dns.get("servers") or []]
    return [*servers, ("Domains", " ".join(dns.get("search") or []) or None)]


def _address(text, mtu):
    """Return the sections of an address; where the link takes larger frames than the network, by a route."""
    one = ipaddress.ip_interface(text)
    if mtu is None or one.version == 6:
        return [("Address", [("Address", text)])]
    route = [("Destination", one.network), ("Scope", "link"), ("MTUBytes", mtu)]
    return [
        ("Address", [("Address", text), ("AddPrefixRoute", "no")]),
        ("Route", [*route, ("PreferredSource", one.ip)]),
    ]


def _routes(interface, mtu):
    found = []
    for route in interface["routes"]:
        wide = mtu if ":" not in route["gateway"] else None
        pairs = [("Gateway", route["gateway"]), ("Metric", route["metric"]), ("MTUBytes", wide)]
        found.append(("Route", pairs))
    # By its MAC, as firmware and installer asked: one machine has one address.
    asks = [("ClientIdentifier", "mac"), ("RouteMetric", 1024)]
    return [*found, ("DHCPv4", asks)] if interface.get("dhcp") else found


def _has(interface, version):
    return any((":" in text) == (version == 6) for text in interface["addresses"])


def _yes(value):
    return "yes" if value else "no"
