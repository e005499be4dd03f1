"""
What makes an image one node's own system: bootloader, name, mounts, network, clock, users, its minion.

Reads ``racksalt:stages:configure`` from the pillar by itself: a password's hash belongs on no command line and
in no job. The minion is made last, and its mark says that this installation is complete.
"""

import pathlib
import re
import time

from salt.exceptions import CommandExecutionError

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_HASH = re.compile(r"\$(6|y|gy|5|2b)\$[^\s:]{8,500}")  # crypt(5); an old or plain one is none
_KEY = re.compile(r"(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]{32,}( [^\r\n]*)?")
_HOSTS = """127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"""


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "this machine's disk is a folder"
    return "racksalt_configure"


def plan(_settings=None):
    """
    Return whether this installation has completed the system: ``{"done", "comment", "changes"}``.
    Mounts it to look, for reading only.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_configure.plan
    """
    settings = _settings_of()
    try:
        root = __salt__["racksalt_target.mount"](read_only=True)
        done = __salt__["racksalt_boot.enrolled"](root)
    finally:
        __salt__["racksalt_target.release"]()
    if done:
        comment = "this installation completed the system already"
        return {"done": True, "comment": comment, "changes": {}}
    comment = "would install the bootloader and make the image this node's own system"
    return {"done": False, "comment": comment, "changes": _told(settings)}


def carry_out(_settings=None):
    """
    Make the image this node's own system. Whatever happens, nothing stays mounted.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_configure.carry_out
    """
    __salt__["racksalt_disk.check_may_write"]()
    settings = _settings_of()
    _sense(settings)
    try:
        root = pathlib.Path(__salt__["racksalt_target.mount"]())
        changes, seconds = {}, {}
        for part, act in _PARTS:
            began = time.monotonic()
            changes[part] = act(root, settings)
            seconds[part] = round(time.monotonic() - began, 1)
    finally:
        __salt__["racksalt_target.release"]()
    return {"comment": "; ".join(_told_parts(changes)), "changes": changes | {"seconds": seconds}}


def _settings_of():
    found = __salt__["pillar.get"]("racksalt:stages:configure", {}, unmask=True)
    return __salt__["racksalt_settings.checked"]("configure", found)


def _told(settings):
    users = {user.get("name"): _about(user) for user in settings.get("users") or ()}
    return {"users": users, **{k: settings[k] for k in ("ntp", "timezone", "dns") if k in settings}}


def _about(user):
    return {"ssh_keys": len(user.get("ssh_keys") or ()), "sudo": bool(user.get("sudo"))}


def _told_parts(changes):
    return [f"{part}: {done}" for part, done in changes.items() if isinstance(done, str)] or [
        "done"
    ]


def _sense(settings):
    for user in settings.get("users") or ():
        name = str(user.get("name"))
        where = f"racksalt:stages:configure:users: {name!r}"
        if not _USER.fullmatch(name):
            raise CommandExecutionError(f"{where} is no name for a user")
        if any(not _KEY.fullmatch(str(key).strip()) for key in user.get("ssh_keys") or ()):
            raise CommandExecutionError(f"{where} has an SSH key that is no public key")
        _hash_of(user)


def _hash_of(user):
    """Return a user's password hash, None for a user who can only use keys. Never part of a message."""
    told = user.get("password_hash")
    if told is None:
        return None
    if str(told).startswith("sdb://"):
        told = __salt__["sdb.get"](told)
    if not _HASH.fullmatch(str(told)):
        where = f"racksalt:stages:configure:users: {user.get('name')!r}"
        message = f"{where}: password_hash is no hash of crypt(5) and no reference to one"
        raise CommandExecutionError(message)
    return str(told)


def _run(argv, **more):
    return __salt__["racksalt_program.run"](argv, **more)


def _put(root, name, text, mode=0o644):
    """Write a file of the installed system; a link there is replaced, never followed out of it."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise CommandExecutionError(f"{name}: its folder leads out of the installed system")
    path.unlink(missing_ok=True)
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text(text)


def _bootloader(root, settings):
    return __salt__["racksalt_bootloader.install"](str(root), settings)


def _fstab(root, _settings):
    made, uuid = __salt__["racksalt_partition.made"](), __salt__["racksalt_target.device_uuid"]
    lines = [f"UUID={uuid(made['root'])} / ext4 errors=remount-ro 0 1"]
    # The second disk's partition is only there for its firmware; a missing one must not stop a boot, and what may fail
    # is waited for by nobody, so that a slow machine has systemd's usual time to find it.
    options = "umask=0077,nofail"
    lines.append(f"UUID={uuid(made['disks'][0]['esp'])} /boot/efi vfat {options} 0 1")
    _put(root, "etc/fstab", "".join(f"{line}\n" for line in lines))
    return lines


def _name(root, settings):
    facts = __salt__["pillar.get"]("racksalt", {}, unmask=True)
    fqdn = str(facts.get("fqdn") or facts.get("node") or __opts__["id"])
    short = fqdn.partition(".")[0]
    networks = (facts.get("networks") or {}).values()
    own = [a for one in networks if one.get("addresses") for a in one["addresses"]]
    names = fqdn if fqdn == short else f"{fqdn} {short}"
    lines = [f"{address} {names}\n" for address in own or ["127.0.1.1"]]
    more = (settings.get("hosts") or {}).items()
    lines += [f"{address} {' '.join(names)}\n" for address, names in more]
    _put(root, "etc/hostname", f"{short}\n")
    _put(root, "etc/hosts", _HOSTS + "".join(lines))
    return fqdn


def _network(root, _settings):
    if "racksalt_netconf.write" not in __salt__:
        return "left as the image has it: racksalt_netconf is not on this node"
    if not __salt__["pillar.get"]("racksalt:network", None, unmask=True):
        return "left as the image has it: the pillar has no racksalt:network"
    return {"written": __salt__["racksalt_netconf.write"](str(root))}


def _dns(root, settings):
    dns = settings.get("dns") or {}
    servers, search = dns.get("servers") or [], dns.get("search") or []
    if not servers:
        return "left as the network gives it"
    if pathlib.Path(root, "lib/systemd/systemd-resolved").exists():
        text = f"[Resolve]\nDNS={' '.join(servers)}\nDomains={' '.join(search)}\n"
        _put(root, "etc/systemd/resolved.conf.d/racksalt.conf", text)
    else:
        lines = [f"nameserver {server}\n" for server in servers]
        lines += [f"search {' '.join(search)}\n"] if search else []
        _put(root, "etc/resolv.conf", "".join(lines))
    return servers


def _clock(root, settings):
    servers, zone = settings.get("ntp") or [], settings.get("timezone") or "Etc/UTC"
    if not pathlib.Path(root, "usr/share/zoneinfo", zone).exists() and zone != "Etc/UTC":
        raise CommandExecutionError(f"the installed image knows no timezone {zone}: package tzdata")
    _put(root, "etc/timezone", f"{zone}\n")
    place = root / "etc/localtime"
    place.unlink(missing_ok=True)
    place.symlink_to(f"/usr/share/zoneinfo/{zone}")
    if servers:
        text = f"[Time]\nNTP={' '.join(servers)}\n"
        _put(root, "etc/systemd/timesyncd.conf.d/racksalt.conf", text)
        if (root / "etc/chrony").is_dir():
            text = "".join(f"server {server} iburst\n" for server in servers)
            _put(root, "etc/chrony/sources.d/racksalt.sources", text)
    return {"timezone": zone, "ntp": servers}


def _users(root, settings):
    return {user["name"]: _user(root, user) for user in settings.get("users") or ()}


def _user(root, user):
    name = user["name"]
    if name != "root" and not re.search(
        f"^{name}:", (root / "etc/passwd").read_text(), re.MULTILINE
    ):
        _run(["useradd", "--create-home", "--shell", "/bin/bash", name], root=root)
    if user.get("ssh_keys"):
        _authorize(root, name, user["ssh_keys"])
    hashed = _hash_of(user)
    if hashed:
        _run(["chpasswd", "--encrypted"], stdin=f"{name}:{hashed}\n", root=root)
    if user.get("sudo") and name != "root":
        rule = f"{name} ALL=(ALL:ALL) NOPASSWD: ALL\n"
        _put(root, f"etc/sudoers.d/racksalt-{name}", rule, 0o440)
    return _about(user)


def _authorize(root, name, keys):
    line = re.search(f"^{name}:.*$", (root / "etc/passwd").read_text(), re.MULTILINE)[0]
    _, _, uid, gid, _, home, *_ = line.split(":")
    place = f"{home.lstrip('/')}/.ssh"
    _put(root, f"{place}/authorized_keys", "".join(f"{str(key).strip()}\n" for key in keys), 0o600)
    (root / place).chmod(0o700)
    _run(["chown", "-R", f"{uid}:{gid}", root / place])


def _identity(root, _settings):
    """Take from the image what every copy of it would share."""
    _put(root, "etc/machine-id", "", 0o444)
    old = sorted((root / "etc/ssh").glob("ssh_host_*"))
    for path in old:
        path.unlink()
    if not (root / "usr/sbin/sshd").exists():
        return "no SSH server in the image"
    # As OpenSSH prefers them; an RSA key takes a slow machine a minute. `ssh-keygen -A` adds what a site still needs.
    for kind in ("ed25519", "ecdsa"):
        place = f"/etc/ssh/ssh_host_{kind}_key"
        _run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "root", "-f", place], root=root)
    return {"ssh_host_keys": len(sorted((root / "etc/ssh").glob("ssh_host_*.pub")))}


def _minion(root, _settings):
    return __salt__["racksalt_boot.enrol"](str(root))


_PARTS = (
    ("fstab", _fstab),
    ("name", _name),
    ("identity", _identity),
    ("network", _network),
    ("dns", _dns),
    ("clock", _clock),
    ("users", _users),
    ("bootloader", _bootloader),
    ("minion", _minion),
)
