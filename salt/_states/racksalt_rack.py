"""Declares each rack of the data centre, on an administrator's minion."""


def present(name, zone, height_u=42):
    """
    The rack is known: in which zone it stands and how many units it has.

    .. code-block:: yaml

        r1:
          racksalt_rack.present:
            - zone: z1
    """
    fields = {"zone": zone, "height_u": height_u}
    return __salt__["racksalt_node.declare"]("racks", name, fields, test=__opts__["test"])
