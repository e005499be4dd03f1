"""The text of dnsmasq's files: one main file, and for each node a file of hosts, of options and of names.

Formats: dnsmasq(8). Values come checked from `racksalt.network.dhcp`; what a person set is checked here.
Architectures: the "Processor Architecture Types" registry of RFC 4578 and RFC 5970.
Private options: RFC 3942 section 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

from racksalt.model.errors import SettingsError
from racksalt.model.place import Network
from racksalt.network.dhcp import Held, Host, Wanted, discovery, size_of
from racksalt.network.names import zones_of
from racksalt.settings import Dhcp, Settings

OPTION_NODE, OPTION_URL, OPTION_ENVIRONMENT = 224, 225, 226
"""Private DHCP options: the node's id, the boot API's address, the boot environment. Never a token."""
SCRIPT = "/v1/boot/script"
URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/%=:@+\-&]*)?")
WORD = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
PATH = re.compile(r"/[A-Za-z0-9._/ -]*")
NO_LABEL = re.compile(r"[0-9]+[smhdw]?|infinite|ignore")
"""Host names that a ``dhcp-host`` line takes for a lease time, or for an order to serve nobody (dnsmasq(8))."""
LEAST_LEASES, MOST_LEASES = 1024, 1 << 20
"""Beyond 31 bits dnsmasq misreads its limit, as none at all or as 0, which serves nobody. A million leases, of some 300
bytes of memory each, are more than it can serve."""

LOADERS: tuple[tuple[str, tuple[int, ...], str], ...] = (
    ("bios", (0,), "x86_64/undionly.kpxe"),
    ("efi-x86-64", (7, 9), "x86_64/ipxe.efi"),
    ("efi-arm64", (11,), "arm64/ipxe.efi"),
)
"""Tag, architectures (option 93) and what TFTP gives them."""
HTTP_LOADERS: tuple[tuple[str, tuple[int, ...], str], ...] = (
    ("http-x86-64", (16,), "x86_64/ipxe.efi"),
    ("http-arm64", (19,), "arm64/ipxe.efi"),
)
"""The same for firmware that boots over HTTP."""
HTTP_CLASS_V6 = "UE,HTTPClient"
"""DHCPv6's vendor class (RFC 8415 section 21.16) as dnsmasq writes it: each text after its length in two bytes. So the
first length and text stand for the enterprise number, which UEFI's firmware does not look at."""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface of the admin node with its addresses, such as ``10.0.0.1/24``."""

    name: str
    addresses: tuple[str, ...]

    def is_on(self, network: Network) -> bool:
        """Return whether the interface has an address in a network."""
        cidrs = [ip_network(cidr) for cidr in (network.cidr_v4, network.cidr_v6) if cidr]
        return any(ip_interface(one).ip in cidr for one in self.addresses for cidr in cidrs)


def main_file(wanted: Wanted, settings: Settings, links: Sequence[Link]) -> str:
    """Return the main file.

    Args:
        wanted: networks and hosts; without networks it serves no DHCP, only DNS and TFTP.
        settings: where nodes reach the boot API and the images, and how DHCP is to be.
        links: the interfaces to serve on.

    Raises:
        SettingsError: a setting has a character that has no place in the file.
    """
    check(settings)
    dhcp = settings.dhcp
    lines = [*_general(dhcp, links), *_dns(wanted, dhcp)]
    if dhcp.tftp:
        lines += ["enable-tftp", f"tftp-root={settings.images.folder}", "tftp-no-fail"]
    if wanted.networks:
        lines += [
            *_dhcp(wanted, dhcp),
            *(line for network in wanted.networks for line in _network(network, dhcp)),
            *_adverts(wanted, links),
            *_boot(settings.boot_api.url, settings.boot_api.images, tftp=dhcp.tftp),
            *(_tftp_v6(wanted, links) if dhcp.tftp else ()),
        ]
    return "\n".join(["# Written by racksalt, which overwrites it.", *lines, ""])


def host_lines(host: Host, served: frozenset[str]) -> list[str]:
    """Return the ``dhcp-host`` lines of a node: one for each NIC and network."""
    found: dict[tuple[str, str], list[Held]] = {}
    for held in host.held:
        if held.mac is not None and held.network in served:
            found.setdefault((held.mac, held.network), []).append(held)
    # The name stands in the names' folder in any case.
    label = [] if NO_LABEL.fullmatch(host.label) else [host.label]
    return [
        ",".join([mac, f"set:{tag_of(host)}", *map(_bracketed, rows), *label])
        for (mac, _), rows in found.items()
    ]


def option_lines(host: Host) -> list[str]:
    """Return the option lines of a node, for the options folder; values in hexadecimal, which nothing can break."""
    values = ((OPTION_NODE, host.node), (OPTION_ENVIRONMENT, host.environment))
    return [f"tag:{tag_of(host)},{number},{hexadecimal(value)}" for number, value in values]


def name_lines(host: Host) -> list[str]:
    """Return the lines of a node in the form of /etc/hosts: they answer forward and reverse."""
    return [f"{held.address} {held.name}" for held in host.held if held.name]


def tag_of(host: Host) -> str:
    """Return the tag that dnsmasq gives to requests of a node."""
    return f"n-{host.node}"


def hexadecimal(text: str) -> str:
    """Return a text as bytes between colons; the colon after a single one keeps it from being read as a number."""
    found = text.encode()
    return ":".join(f"{byte:02x}" for byte in found) + (":" if len(found) == 1 else "")


def test_file(lines: Iterable[str]) -> str:
    """Return the end of a file that lets ``dnsmasq --test`` read lines that otherwise stand in folders."""
    return "".join(f"{line}\n" for line in lines)


def check(settings: Settings) -> None:
    """Raise SettingsError for a setting with a character that has no place in a server's file."""
    dhcp = settings.dhcp
    told = [("dhcp.interfaces", WORD, name) for name in dhcp.interfaces] + [
        ("dhcp.user", WORD, dhcp.user),
        ("dhcp.folder", PATH, dhcp.folder),
        ("images.folder", PATH, settings.images.folder),
        ("boot_api.url", URL, settings.boot_api.url),
        ("boot_api.images", URL, settings.boot_api.images),
    ]
    wrong = [(key, value) for key, form, value in told if not form.fullmatch(value)]
    wrong += [("dhcp.forwarders", value) for value in dhcp.forwarders if not _is_address(value)]
    if wrong:
        key, value = wrong[0]
        raise SettingsError(f"{key}: {value!r} cannot stand in a server's file", "mend the setting")


def _is_address(text: str) -> bool:
    try:
        return "%" not in str(ip_address(text))
    except ValueError:
        return False


def _general(dhcp: Dhcp, links: Iterable[Link]) -> Iterator[str]:
    yield from ("no-hosts", "bind-dynamic", "except-interface=lo", "no-resolv")
    yield from (f"interface={link.name}" for link in links)
    yield f"user={dhcp.user}"
    yield f"pid-file={dhcp.folder}/dnsmasq.pid"
    yield "log-async=100"


def _dhcp(wanted: Wanted, dhcp: Dhcp) -> Iterator[str]:
    yield f"dhcp-leasefile={dhcp.folder}/leases"
    yield f"dhcp-hostsdir={dhcp.folder}/hosts.d"
    yield f"dhcp-optsdir={dhcp.folder}/options.d"
    # The detailed log says which subnet a request was for: without it an exhausted pool has no name.
    yield from ("log-dhcp", "dhcp-authoritative")
    # A probe of an address takes up to three seconds in which nobody else is served: too long for a rack at once.
    yield "no-ping"
    # One machine shows itself under several client ids on its way: firmware, iPXE, installer, system.
    yield "dhcp-ignore-clid"
    # What a client calls itself must not get into DNS.
    yield "dhcp-ignore-names"
    yield f"dhcp-lease-max={_most_leases(wanted)}"


def _most_leases(wanted: Wanted) -> int:
    """Return room for all leases, doubled step by step so that one more node seldom changes the file.

    An IPv6 range has room for more than there can be: of it, as many as dnsmasq can take.
    """
    needed = sum(
        size_of(one)
        for network in wanted.networks
        for one in network.ranges
        if one.use == "discovery"
    )
    needed += sum(len(host.held) for host in wanted.hosts.values())
    most = LEAST_LEASES
    while most < min(needed, MOST_LEASES):
        most *= 2
    return most


def _dns(wanted: Wanted, dhcp: Dhcp) -> Iterator[str]:
    yield f"port={dhcp.dns_port}"
    if not dhcp.dns_port:
        return
    yield f"hostsdir={dhcp.folder}/names.d"
    yield from ("domain-needed", "bogus-priv", "cache-size=1000")
    yield from (f"local=/{zone}/" for zone in zones_of(wanted.zones))
    yield from (f"server={address}" for address in dhcp.forwarders)


def _network(network: Network, dhcp: Dhcp) -> Iterator[str]:
    tag = f"net-{network.name}"
    short, long = dhcp.discovery_lease_s, dhcp.reservation_lease_s
    for cidr in filter(None, (network.cidr_v4, network.cidr_v6)):
        subnet = ip_network(cidr)
        width = subnet.netmask if isinstance(subnet, IPv4Network) else subnet.prefixlen
        for one in discovery(network, subnet.version):
            yield f"dhcp-range=set:{tag},tag:!known,{one.first},{one.last},{width},{short}"
        yield f"dhcp-range=set:{tag},{subnet.network_address},static,{width},{long}"
        if network.domain:
            yield f"domain={network.domain},{subnet}"
        yield from (
            _options_v6(network, tag, dhcp)
            if isinstance(subnet, IPv6Network)
            else _options_v4(network, tag, dhcp)
        )
    if network.purpose == "provisioning":
        yield f"tag-if=set:boots,tag:{tag}"


def _options_v4(network: Network, tag: str, dhcp: Dhcp) -> Iterator[str]:
    # Without a value: dnsmasq would otherwise name itself as the router.
    yield f"dhcp-option=tag:{tag},option:router{_after(network.gateway_v4)}"
    yield f"dhcp-option=tag:{tag},option:mtu,{network.mtu}"
    servers = [one for one in dhcp.forwarders if ip_address(one).version == 4]
    if dhcp.dns_port != 53 and servers:
        yield f"dhcp-option=tag:{tag},option:dns-server,{','.join(servers)}"


def _options_v6(network: Network, tag: str, dhcp: Dhcp) -> Iterator[str]:
    if network.domain:
        yield f"dhcp-option=tag:{tag},option6:domain-search,{network.domain}"
    servers = [f"[{one}]" for one in dhcp.forwarders if ip_address(one).version == 6]
    if dhcp.dns_port != 53 and servers:
        yield f"dhcp-option=tag:{tag},option6:dns-server,{','.join(servers)}"


def _adverts(wanted: Wanted, links: Iterable[Link]) -> Iterator[str]:
    """Yield router advertisements: addresses come from DHCPv6, and we are a router only where declared one."""
    if any(network.cidr_v6 for network in wanted.networks):
        yield "enable-ra"
    for link in links:
        for network in wanted.networks:
            if network.cidr_v6 and link.is_on(network):
                own = {str(ip_interface(one).ip) for one in link.addresses}
                gateway = network.gateway_v6
                is_router = gateway is not None and str(ip_address(gateway)) in own
                yield f"ra-param={link.name},mtu:{network.mtu},0,{1800 if is_router else 0}"
                break


def _boot(boot_url: str, images_url: str, *, tftp: bool) -> Iterator[str]:
    script = f"{boot_url}{SCRIPT}"
    yield f"dhcp-option-force=tag:boots,{OPTION_URL},{hexadecimal(boot_url)}"
    yield from ("dhcp-match=set:ipxe,175", "dhcp-userclass=set:ipxe,iPXE")
    yield f"dhcp-boot=tag:boots,tag:ipxe,{script}"
    yield f"dhcp-option=tag:boots,tag:ipxe,option6:bootfile-url,{script}"
    for tag, arches, file in LOADERS if tftp else ():
        yield from _matches(tag, arches)
        yield f"dhcp-boot=tag:boots,tag:!ipxe,tag:{tag},{file}"
    for tag, arches, file in HTTP_LOADERS:
        yield from _matches(tag, arches)
        url = f"{images_url}/{file}"
        yield f"dhcp-boot=tag:boots,tag:!ipxe,tag:{tag},{url}"
        # UEFI 2.10 section 24.7: the firmware takes only offers that echo its class.
        yield f"dhcp-option-force=tag:boots,tag:!ipxe,tag:{tag},60,HTTPClient"
        yield f"dhcp-option=tag:boots,tag:!ipxe,tag:{tag},option6:bootfile-url,{url}"
        yield f"dhcp-option-force=tag:boots,tag:!ipxe,tag:{tag},option6:16,{HTTP_CLASS_V6}"


def _tftp_v6(wanted: Wanted, links: Sequence[Link]) -> Iterator[str]:
    """Yield the boot files of firmware that boots over IPv6: there they are addresses (RFC 5970), not names."""
    for network in wanted.networks:
        own = [
            ip_interface(one).ip
            for link in links
            for one in link.addresses
            if network.cidr_v6 and ip_interface(one).ip in ip_network(network.cidr_v6)
        ]
        for tag, _, file in LOADERS if own else ():
            tags = f"tag:net-{network.name},tag:boots,tag:!ipxe,tag:{tag}"
            yield f"dhcp-option={tags},option6:bootfile-url,tftp://[{own[0]}]/{file}"


def _matches(tag: str, arches: Iterable[int]) -> Iterator[str]:
    for arch in arches:
        yield f"dhcp-match=set:{tag},option:client-arch,{arch}"
        # In hexadecimal: a plain number is one byte, which any byte of the option matches.
        yield f"dhcp-match=set:{tag},option6:61,{arch >> 8:02x}:{arch & 255:02x}"


def _bracketed(held: Held) -> str:
    return held.address if held.family == 4 else f"[{held.address}]"


def _after(value: str | None) -> str:
    return f",{value}" if value else ""
