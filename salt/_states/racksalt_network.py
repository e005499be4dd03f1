"""Declares each network of the data centre, on an administrator's minion."""


def present(
    name,
    purpose="admin",
    zone=None,
    rack=None,
    vlan=None,
    tagging=None,
    mtu=None,
    domain=None,
    cidr_v4=None,
    cidr_v6=None,
    gateway_v4=None,
    gateway_v6=None,
    conduit=None,
    bridge=None,
    ranges=None,
):
    """
    The network is known: where it reaches, its VLAN, its subnets and their ranges.

    The fields are those of a network in the site's files; ``conduit`` names one of the conduits there.

    .. code-block:: yaml

        provisioning-z1:
          racksalt_network.present:
            - purpose: provisioning
            - zone: z1
            - cidr_v4: 10.10.0.0/16
            - ranges:
                nodes: {first: 10.10.1.1, last: 10.10.2.255, use: reservations}
    """
    # First of all, while the arguments are all that there is.
    fields = dict(locals())
    del fields["name"]
    return __salt__["racksalt_node.declare"]("networks", name, fields, test=__opts__["test"])


def absent(name):
    """
    The network is forgotten: no node boots or gets an address there. It fails while a file of the
    site declares it, or while nodes have addresses in it.

    .. code-block:: yaml

        provisioning-z1:
          racksalt_network.absent: []
    """
    test = __opts__["test"]
    ret = __salt__["racksalt_node.declare"]("gone_networks", name, {}, test=test)
    if ret["changes"]:
        ret["comment"] = f"{name} would be forgotten" if test else f"{name} is forgotten"
    elif ret["result"]:
        ret["comment"] = f"{name} is not there"
    return ret
