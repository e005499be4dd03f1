"""Declares each network of the data centre, on an administrator's minion."""


def present(name, purpose="admin", zone=None, vlan=None, cidr_v4=None, cidr_v6=None):
    """
    The network is known: its VLAN and its subnets.

    .. code-block:: yaml

        admin-z1:
          racksalt_network.present:
            - vlan: 100
            - cidr_v4: 10.10.0.0/16
    """
    fields = {
        "purpose": purpose,
        "zone": zone,
        "vlan": vlan,
        "cidr_v4": cidr_v4,
        "cidr_v6": cidr_v6,
    }
    return __salt__["racksalt_node.declare"]("networks", name, fields, test=__opts__["test"])
