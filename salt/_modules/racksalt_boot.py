"""
What a booted environment says to the boot API, and how it makes and proves its minion's identity.

The boot token is read from the minion's configuration (``racksalt: {url, node, token}``), which only
root can read. No function returns it and none puts it on a command line.
"""

import hashlib
import hmac
import json
import os
import pathlib
import re
import urllib.error
import urllib.request
import uuid

import salt.crypt
import salt.utils.yaml
from salt.exceptions import CommandExecutionError

_TIMEOUT_S = 30
_KEYS = "etc/salt/pki/minion"
_MARK = "etc/racksalt/installation.json"
_CARRIED_OVER = ("master", "master_port", "master_finger", "keysize", "transport")
_PARAMETER = re.compile(r"(?:^|\s)racksalt\.(\w+)=(\S+)")


def report(event, data=None):
    """
    Report an event to the boot API; returns ``{"seq", "state"}`` once it is committed.

    event
        ``inventory_reported`` or ``progress``

    data
        what belongs to it; the inventory by default

    CLI Example:

    .. code-block:: bash

        salt-call racksalt_boot.report inventory_reported
    """
    if event == "inventory_reported" and data is None:
        data = __salt__["racksalt_hardware.inventory"]()
    return _post("reports", {"id": str(uuid.uuid4()), "event": event, "data": data or {}})


def prepare(cmdline="/proc/cmdline", root="/"):
    """
    Make the minion of a booted live environment from the kernel's command line: a new key pair, the
    proof that goes with it, and its configuration. The live system's start calls it.

    CLI Example:

    .. code-block:: bash

        salt-call --local racksalt_boot.prepare
    """
    found = dict(_PARAMETER.findall(pathlib.Path(cmdline).read_text()))
    missing = {"node", "token", "url", "master", "environment"} - found.keys()
    if missing:
        message = f"the kernel's command line lacks racksalt.{', racksalt.'.join(sorted(missing))}"
        raise CommandExecutionError(message)
    host, _, port = found["master"].rpartition(":")
    config = {"master": host.strip("[]"), "master_port": int(port)}
    # Grains go to the master, which keeps them; the command line has the token in it.
    config["grains_blacklist"] = ["kernelparams"]
    if found.get("master_finger"):
        config["master_finger"] = found["master_finger"]
    settings = {key: found[key] for key in ("node", "url", "token", "environment")}
    return _identify(root, found["node"], found["token"], config, settings)


def enrol(root):
    """
    Make the minion of the installed system below ``root``: asks the boot API for the token of its
    first boot, makes a new key pair and writes configuration and proof. Returns the key's SHA-256.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_boot.enrol /mnt/target
    """
    settings = __opts__["racksalt"]
    token = _post("enrolment", {})["token"]
    config = {key: __opts__[key] for key in _CARRIED_OVER if __opts__.get(key)}
    kept = {"node": settings["node"], "url": settings["url"], "environment": "local"}
    made = _identify(root, settings["node"], token, config, kept)
    mark = pathlib.Path(root, _MARK)
    mark.parent.mkdir(parents=True, exist_ok=True)
    installation = __salt__["racksalt_disk.installation"]()
    _write(mark, json.dumps({**made, "installation": installation}))
    return made


def enrolled(root):
    """
    Say whether the system below ``root`` has the minion that this installation made.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_boot.enrolled /mnt/target
    """
    try:
        mark = json.loads(pathlib.Path(root, _MARK).read_text())
        public = pathlib.Path(root, _KEYS, "minion.pub").read_text()
    except (OSError, ValueError):
        return False
    same_boot = mark.get("installation") == __salt__["racksalt_disk.installation"]()
    return same_boot and mark.get("key_sha256") == _sha256(public)


def _identify(root, node, token, config, settings):
    private, public = salt.crypt.gen_keys(__opts__.get("keysize") or 2048)
    keys = pathlib.Path(root, _KEYS)
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(keys / "minion.pem", private)
    _write(keys / "minion.pub", public)
    proof = hmac.new(token.encode(), f"{node}\n{public.strip()}".encode(), hashlib.sha256)
    config = {**_minion(node), **config, "racksalt": settings}
    config["grains"] = {"racksalt_proof": proof.hexdigest()}
    _write(pathlib.Path(root, "etc/salt/minion"), salt.utils.yaml.safe_dump(config))
    return {"key_sha256": _sha256(public)}


def _minion(node):
    return {
        "id": node,
        "autosign_grains": ["racksalt_proof"],
        "cache_jobs": True,  # a result outlives a master that was away when it came
        "rejected_retry": True,
        # The key is accepted within seconds of the first question; a person may take days.
        "acceptance_wait_time": 2,
        "acceptance_wait_time_max": 20,
        "master_tries": -1,
        "return_retry_tries": 60,
        "request_channel_tries": 120,  # given up, a first request leaves the minion half alive
        "mine_enabled": False,
    }


def _sha256(public):
    return hashlib.sha256(public.replace("\r\n", "\n").strip().encode()).hexdigest()


def _write(path, text):
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _post(what, body):
    settings = __opts__.get("racksalt") or {}
    if not {"url", "node", "token"} <= settings.keys():
        message = "this minion's configuration has no boot token: it was not booted by racksalt"
        raise CommandExecutionError(message)
    url = f"{settings['url'].rstrip('/')}/v1/nodes/{settings['node']}/{what}"
    headers = {"Authorization": f"Bearer {settings['token']}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)
    except (urllib.error.URLError, ValueError, OSError) as error:
        raise CommandExecutionError(_told(url, error)) from error


def _told(url, error):
    body = error.read().decode(errors="replace")[:300] if hasattr(error, "read") else ""
    return f"the boot API did not take {url}: {error} {body}".strip()
