"""The network configuration of a running node is what the site declares for it."""

from salt.exceptions import CommandExecutionError


def __virtual__():
    if "racksalt_netconf.differences" in __salt__:
        return True
    return False, "racksalt_netconf is not on this machine"


def managed(name, root="/"):
    """
    NICs, bonds, VLANs, bridges, addresses and routes are as in the pillar's ``racksalt:network``.

    Files that differ are written, and systemd-networkd reads them again only then. In test mode the
    changes tell each file as it is and as it would be.

    root
        where the system is that is configured; only the running one's systemd-networkd is told

    .. code-block:: yaml

        network:
          racksalt_netconf.managed: []
    """
    try:
        changes = __salt__["racksalt_netconf.preview"](root)
        if not changes:
            return _ret(name, True, f"is as declared{_told()}")
        if __opts__["test"]:
            return _ret(name, None, f"{len(changes)} files would change{_told()}", changes)
        __salt__["racksalt_netconf.write"](root)
        if root == "/":
            __salt__["racksalt_netconf.reload"]()
    except (CommandExecutionError, OSError) as error:
        return _ret(name, False, str(error))
    return _ret(name, True, f"{len(changes)} files changed{_told()}", changes)


def _told():
    problems = __salt__["racksalt_netconf.problems"]()
    return f"; not possible here: {'; '.join(problems)}" if problems else ""


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}
