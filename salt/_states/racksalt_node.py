"""
Nodes of the data centre, declared on an administrator's minion: a highstate there is the desired
state of the racks. The master must allow that minion to ask (``peer_run``).
"""


def present(name, rack, position_u=None, fqdn=None, serial=None, macs=None, bmc=None, agent=None):
    """
    The node is known: where it stands and how its management controller is reached.

    bmc
        ``{protocol, address, port, username, secret}``; ``secret`` names a password, it is none

    .. code-block:: yaml

        r1n1:
          racksalt_node.present:
            - rack: r1
            - position_u: 12
            - serial: ABC123
    """
    fields = {"rack": rack, "position_u": position_u, "fqdn": fqdn, "serial": serial}
    fields.update({"macs": macs, "bmc": bmc, "agent": agent})
    return __salt__["racksalt_node.declare"]("nodes", name, fields, test=__opts__["test"])


def ready(name):
    """
    The node is ready, or on its way there.

    .. code-block:: yaml

        r1n1:
          racksalt_node.ready: []
    """
    return __salt__["racksalt_node.desire"](name, "ready", test=__opts__["test"])


def commissioned(name):
    """
    The node is set up, tested and empty, or on its way there.

    .. code-block:: yaml

        r1n1:
          racksalt_node.commissioned: []
    """
    return __salt__["racksalt_node.desire"](name, "commissioned", test=__opts__["test"])


def absent(name):
    """
    The node is retired: erased, switched off, without a key. What is known of it stays on record.

    .. code-block:: yaml

        r1n1:
          racksalt_node.absent: []
    """
    return __salt__["racksalt_node.desire"](name, "retired", test=__opts__["test"])
