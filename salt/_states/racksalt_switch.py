"""
States of a Linux switch that runs a minion of its own.

.. code-block:: yaml

    bridge:
      racksalt_switch.bridge: []

    swp7:
      racksalt_switch.port:
        - untagged: 110
        - tagged: [120]
        - edge: True
        - description: r1n7
"""

from salt.exceptions import CommandExecutionError


def bridge(name):
    """
    Let the bridge be there and keep VLANs apart.

    name
        the bridge's name
    """
    found = __salt__["racksalt_switch.bridge"](name)
    if found == "filtering":
        return _ret(name, True, "it keeps VLANs apart")
    changes = {"bridge": {"old": found, "new": "filtering"}}
    if __opts__["test"]:
        return _ret(name, None, "it would keep VLANs apart", changes)
    return _tried(name, "racksalt_switch.make_bridge", changes, name)


def port(
    name, bridge="bridge", untagged=None, tagged=None, edge=None, lldp_med=None, description=None
):
    """
    Let a port of the bridge have exactly these VLANs, and these settings.

    name
        the port

    bridge
        the bridge that it belongs to

    untagged
        the VLAN of frames without a tag; left out, there is none

    tagged
        the VLANs of frames with a tag

    edge
        whether a machine is behind it, and no switch (a BPDU guard)

    lldp_med
        whether LLDP-MED tells the machine to send without a tag; needs lldpd

    description
        the port's description
    """
    told = (name, bridge, untagged, tagged, edge, lldp_med, description)
    changes = __salt__["racksalt_switch.changes"](*told)
    if not changes:
        return _ret(name, True, "it is as declared")
    if __opts__["test"]:
        return _ret(name, None, f"{', '.join(changes)} would change", changes)
    return _tried(name, "racksalt_switch.set_port", changes, *told)


def _tried(name, function, changes, *args):
    try:
        __salt__[function](*args)
    except CommandExecutionError as error:
        return _ret(name, False, str(error))
    return _ret(name, True, f"{', '.join(changes)} changed", changes)


def _ret(name, result, comment, changes=None):
    return {"name": name, "result": result, "comment": comment, "changes": changes or {}}
