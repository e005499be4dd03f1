"""An admin node and its machines' network in namespaces of their own, with the real DHCP service and real clients."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from racksalt.adapters.settings_file import write_settings
from racksalt.model.node import Address, Nic, Node
from racksalt.model.place import Network, Range
from racksalt.settings import BootApi, Dhcp, ImageSettings, Settings
from racksalt.store import Store
from racksalt.store import tables as t
from tests.support.needs import PATH
from tests.support.waiting import wait_for

PROGRAMS = ("dnsmasq", "udhcpc", "dhclient", "dig", "ip")
KEA = ("kea-dhcp4", "kea-dhcp6", "kea-admin")
DOMAIN = "z1.dc.example.net"
PROV = Network(
    name="prov-z1",
    purpose="provisioning",
    domain=DOMAIN,
    mtu=1500,
    cidr_v4="10.77.0.0/24",
    cidr_v6="fd77::/64",
    gateway_v4="10.77.0.254",
    ranges=(
        Range(name="discovery", first="10.77.0.128", last="10.77.0.175", use="discovery"),
        Range(name="discovery6", first="fd77::1000", last="fd77::102f", use="discovery"),
    ),
)
PRIVATE = ("224", "225", "226")
FIRMWARE_6 = """
option dhcp6.arch code 61 = unsigned integer 16;
option dhcp6.url code 59 = text;
option dhcp6.class code 16 = string;
send dhcp6.arch {arch};
also request dhcp6.url, dhcp6.class;
"""
"""dhclient as firmware that boots over IPv6; str.format with ``arch``."""
LOADERS_6 = (
    (7, "tftp://[fd77::1]/x86_64/ipxe.efi"),
    (16, "http://10.77.0.1:8800/images/x86_64/ipxe.efi"),
    (19, "http://10.77.0.1:8800/images/arm64/ipxe.efi"),
)
"""What firmware of each architecture (RFC 5970) is to load over IPv6, whichever server answers."""
SCRIPT = """#!/bin/sh
case "$1$reason" in bound*|BOUND*) env > "$RESULT" ;; esac
"""


def run(*argv, check=True, **options):
    """Run a program and return what it printed."""
    done = subprocess.run(
        [str(it) for it in argv],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": PATH, **options.pop("env", {})},
        **options,
    )
    if check and done.returncode:
        raise AssertionError(f"{argv}: {done.stdout}{done.stderr}")
    return done.stdout


class DhcpLab:
    """Namespaces for server and clients, a store, and the service as a process."""

    count = 0

    def __init__(self, network=PROV, server_v4="10.77.0.1/24", server_v6="fd77::1/64", **dhcp):
        DhcpLab.count += 1
        self.root = Path(tempfile.mkdtemp(prefix="dhcp-"))
        self.root.chmod(0o755)
        self.names = [f"dhcp{os.getpid()}x{DhcpLab.count}{end}" for end in "scr"]
        self.server, self.clients, self.relay = self.names
        self.network = network
        self.images = self.root / "images"
        self.settings = Settings(
            database=f"sqlite:///{self.root}/racksalt.db",
            secrets=f"{self.root}/secrets",
            images=ImageSettings(folder=str(self.images)),
            boot_api=BootApi(url="http://10.77.0.1:8800", images="http://10.77.0.1:8800/images"),
            dhcp=Dhcp(folder=f"{self.root}/dhcp", **dhcp),
        )
        self.settings_file = self.root / "racksalt.yaml"
        write_settings(self.settings_file, self.settings)
        self.script = self.root / "script"
        self.script.write_text(SCRIPT)
        self.script.chmod(0o755)
        self._interfaces(server_v4, server_v6)
        self.store = Store(self.settings.database)
        with self.store.write() as tx:
            tx.put_places([network])
        self.service = None

    def _interfaces(self, server_v4, server_v6):
        for name in self.names[:2]:
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        where = ("s0", "netns", self.server, "type", "veth", "peer", "name", "c0")
        run("ip", "link", "add", *where, "netns", self.clients)
        run("ip", "-n", self.server, "address", "add", server_v4, "dev", "s0")
        if server_v6:
            run("ip", "-n", self.server, "address", "add", server_v6, "dev", "s0", "nodad")
        run("ip", "-n", self.server, "link", "set", "s0", "up")
        run("ip", "-n", self.clients, "link", "set", "c0", "up")

    def behind_relay(self, network, relay_v4, relay_v6):
        """Put a network behind a router with relay agents; its machine's interface is ``r1`` on the clients' side.

        ``relay_v4`` and ``relay_v6`` are the router's addresses there, such as ``10.88.0.1/24``.
        """
        with self.store.write() as tx:
            tx.put_places([network])
        run("ip", "netns", "add", self.relay)
        pairs = ((self.server, "s1", "r0"), (self.clients, "r1", "r2"))
        for namespace, name, peer in pairs:
            where = (name, "netns", namespace, "type", "veth", "peer", "name", peer)
            run("ip", "link", "add", *where, "netns", self.relay)
        run("ip", "-n", self.relay, "link", "set", "lo", "up")
        addresses = (
            (self.server, "s1", "10.99.0.1/24", "fd99::1/64"),
            (self.relay, "r0", "10.99.0.2/24", "fd99::2/64"),
            (self.relay, "r2", relay_v4, relay_v6),
        )
        for namespace, name, v4, v6 in addresses:
            run("ip", "-n", namespace, "address", "add", v4, "dev", name)
            run("ip", "-n", namespace, "address", "add", v6, "dev", name, "nodad")
            run("ip", "-n", namespace, "link", "set", name, "up")
        run("ip", "-n", self.clients, "link", "set", "r1", "up")
        for sysctl in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            run(*self.at(self.relay), "sysctl", "-w", sysctl)
        for family, to, via in (
            ("-4", network.cidr_v4, "10.99.0.2"),
            ("-6", network.cidr_v6, "fd99::2"),
        ):
            run("ip", family, "-n", self.server, "route", "add", to, "via", via)
        v4, v6 = relay_v4.partition("/")[0], relay_v6.partition("/")[0]
        relays = (f"--dhcp-relay={v4},10.99.0.1", f"--dhcp-relay={v6},fd99::1")
        conf = ("--conf-file=/dev/null", "--port=0", "--pid-file", "--user=root")
        run(*self.at(self.relay), "dnsmasq", *conf, *relays)

    def close(self):
        """End the service and remove everything."""
        self.stop()
        self.store.close()
        for name in self.names:
            for pid in run("ip", "netns", "pids", name, check=False).split():
                os.kill(int(pid), signal.SIGKILL)
            run("ip", "netns", "delete", name, check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def start(self):
        """Start the service and wait until it serves."""
        with (self.root / "log").open("ab") as log:
            self.service = subprocess.Popen(
                [*self.at(self.server), sys.executable, "-m", "racksalt", "serve-dhcp"],
                env={**os.environ, "RACKSALT_SETTINGS": str(self.settings_file), "PATH": PATH},
                stdout=log,
                stderr=log,
            )
        begun = len(self.log())
        until(lambda: "serving" in self.log()[begun:] or self.service.poll() is not None, 30)
        return self

    def stop(self, number=signal.SIGTERM):
        """End the service."""
        if self.service is not None:
            self.service.send_signal(number)
            self.service.wait(20)
            self.service = None

    def log(self):
        """Return what the service has said."""
        path = self.root / "log"
        return path.read_text() if path.exists() else ""

    def at(self, namespace):
        """Return the beginning of a command line that runs in a namespace."""
        return ["ip", "netns", "exec", namespace]

    def run(self, *arguments):
        """Run the command line in the server's namespace; return status and text."""
        done = subprocess.run(
            [*self.at(self.server), sys.executable, "-m", "racksalt", *arguments],
            env={**os.environ, "RACKSALT_SETTINGS": str(self.settings_file), "PATH": PATH},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def pids(self, program="dnsmasq"):
        """Return the processes of a program in the server's namespace."""
        pids = run("ip", "netns", "pids", self.server).split()
        return [
            int(pid) for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == program
        ]

    def add(self, number, mac=None, environment="live", **fields):
        """Put a node with a reservation of each family into the store; return its MAC."""
        node, mac = f"n{number}", mac or mac_of(number)
        given = {"fqdn": f"{node}.{DOMAIN}", "boot_environment": environment, **fields}
        with self.store.write() as tx:
            tx.add_nodes([Node(id=node, state="declared", version=0, state_since=0.0, **given)])
        return self.reserve(number, mac)

    def reserve(self, number, mac):
        """Give a node a NIC and a reservation of each family for it; return its MAC."""
        node = f"n{number}"
        held = {"node": node, "nic": f"{node}/{mac}", "network": self.network.name}
        addresses = ((4, f"10.77.0.{number}"), (6, f"fd77::{number}"))
        with self.store.write() as tx:
            tx.put([Nic(id=f"{node}/{mac}", node=node, name="nic0", mac=mac)])
            tx.put(
                [
                    Address(id=f"{node}/{family}", address=address, family=family, **held)
                    for family, address in addresses
                ]
            )
        return mac

    def forget(self, number):
        """Take a node's reservations out of the store."""
        with self.store.write() as tx:
            tx.remove(t.addresses, node=f"n{number}")

    def change(self, number, **new):
        """Change the node's row."""
        with self.store.write() as tx:
            tx.change(t.nodes, {"id": f"n{number}"}, **new)

    def link(self, name, mac):
        """Make a machine's interface beside others on the clients' side."""
        kind = ("type", "macvlan", "mode", "bridge")
        run("ip", "-n", self.clients, "link", "add", name, "link", "c0", "address", mac, *kind)
        run("ip", "-n", self.clients, "link", "set", name, "up")

    def begin(self, interface, *options, tries=4, namespace=None, asked=PRIVATE):
        """Start a DHCPv4 client that asks for options; give its process and the file that will say what it got."""
        result = self.root / f"result-{interface}"
        result.unlink(missing_ok=True)
        client = subprocess.Popen(
            [
                *self.at(namespace or self.clients),
                *("udhcpc", "-i", interface, "-f", "-q", "-n", "-t", str(tries), "-T", "2"),
                *("-s", str(self.script), *(it for one in asked for it in ("-O", one)), *options),
            ],
            env={**os.environ, "PATH": PATH, "RESULT": str(result)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return client, result

    def ask(self, mac, *options, tries=4, interface="c0", asked=PRIVATE):
        """Ask for an address as a machine with this MAC; return what the client was told, {} for nothing."""
        if interface == "c0":
            run("ip", "-n", self.clients, "link", "set", "c0", "address", mac)
        client, result = self.begin(interface, *options, tries=tries, asked=asked)
        client.wait(60)
        return told(result)

    def ask_v6(self, mac, duid=None, limit_s=15, conf=""):
        """Ask for an IPv6 address, under a DUID (hexadecimal, without colons) or one of the client's own.

        ``conf`` is the text of dhclient's configuration.
        """
        run("ip", "-n", self.clients, "link", "set", "c0", "address", mac)
        run("ip", "-n", self.clients, "link", "set", "c0", "down")
        run("ip", "-n", self.clients, "link", "set", "c0", "addrgenmode", "eui64", "up")
        self._has_link_local()
        result, leases, pid = (self.root / name for name in ("result6", "leases6", "pid6"))
        for old in (result, leases):
            old.unlink(missing_ok=True)
        if duid:
            octal = "".join(f"\\{byte:03o}" for byte in bytes.fromhex(duid))
            leases.write_text(f'default-duid "{octal}";\n')
        settings = self.root / "dhclient.conf"
        settings.write_text(conf)
        files = ("-sf", self.script, "-lf", leases, "-pf", pid, "-cf", settings)
        base = [*self.at(self.clients), "timeout", str(limit_s), "dhclient", "-6"]
        run(*base, "-1", *files, "-e", f"RESULT={result}", "c0", check=False)
        run(*base, "-x", *files, "c0", check=False)
        return told(result)

    def load_v6(self, mac, arch):
        """Ask as firmware of an architecture; return the address of its loader and the vendor class's bytes."""
        got = self.ask_v6(mac, conf=FIRMWARE_6.format(arch=arch))
        octets = got.get("new_dhcp6_class", "").split(":")
        return got["new_dhcp6_url"], bytes(int(one, 16) for one in octets if one)

    def _has_link_local(self):
        show = ("ip", "-n", self.clients, "-6", "address", "show", "dev", "c0")

        def usable():
            shown = run(*show)
            return "fe80" in shown and "tentative" not in shown

        until(usable, 20)

    def dig(self, *question, server="10.77.0.1"):
        """Ask the DNS service; return the answers."""
        asked = (*self.at(self.server), "dig", "+short", "+time=2", "+tries=2", f"@{server}")
        return run(*asked, *question, check=False).split()

    def noted(self, event):
        """Return the journal's entries of an event."""
        return [entry for entry in self.store.history("") if entry.event == event]

    def status(self):
        """Return what the service says of itself."""
        return json.loads((self.root / "dhcp/status.json").read_text())


def told(result):
    """Return what a client's script was told, {} if it got no lease."""
    if not result.exists():
        return {}
    return dict(line.split("=", 1) for line in result.read_text().splitlines() if "=" in line)


def until(condition, timeout_s=20):
    """Wait until a condition holds; fail when it does not in time."""
    assert wait_for(condition, timeout_s * 3) is not None, "it did not come about in time"


def mac_of(number):
    """Return the MAC of the node or machine with this number."""
    return f"52:54:00:00:{number // 256:02x}:{number % 256:02x}"


def text(option):
    """Return the text in a private option, which the client shows in hexadecimal."""
    return bytes.fromhex(option).decode()
