"""
Ask racksalt from an administrator's minion, and read what this node's own pillar tells it.

The master must allow a minion to ask (``peer_run`` in its configuration).
"""

import json

from salt.exceptions import CommandExecutionError

_TIMEOUT_S = 60


def list_nodes(state=None, rack=None, zone=None):
    """
    List nodes by id, narrowed by state, rack and zone.

    CLI Example:

    .. code-block:: bash

        salt-call racksalt_node.list_nodes state=ready
    """
    narrowed = {"state": state, "rack": rack, "zone": zone}
    return runner("list", [f"{key}={_as_is(it)}" for key, it in narrowed.items() if it])


def show(node=None):
    """
    Show one node, this one by default.

    CLI Example:

    .. code-block:: bash

        salt-call racksalt_node.show r1n1
    """
    return runner("show", [_as_is(node or __grains__["id"])])


def place():
    """
    Return where this node stands, as its pillar says: ``zone, rack, position_u``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_node.place
    """
    own = __salt__["pillar.get"]("racksalt", {}, unmask=True)
    return {key: own.get(key) for key in ("zone", "rack", "position_u")}


def roles():
    """
    Return the roles of this node, as its pillar says.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_node.roles
    """
    return __salt__["pillar.get"]("racksalt:roles", [], unmask=True)


def declare(kind, name, fields, test=False):
    """
    Declare one zone, rack, network or node as a state does; returns a state's result.

    CLI Example:

    .. code-block:: bash

        salt-call racksalt_node.declare racks r9 '{zone: z1}' test=True
    """
    ret = {"name": name, "result": True, "comment": f"{name} is as declared", "changes": {}}
    given = json.dumps({key: value for key, value in fields.items() if value is not None})
    try:
        asked = [kind, _as_is(name), f"fields={given}", f"test={bool(test)}"]
        ret["changes"] = runner("present", asked)["changes"]
    except CommandExecutionError as error:
        return {**ret, "result": False, "comment": str(error)}
    if ret["changes"]:
        ret["result"] = None if test else True
        ret["comment"] = f"{name} would change" if test else f"{name} declared"
    return ret


def desire(name, goal, test=False):
    """
    Send a node towards ``ready``, ``commissioned`` or ``retired`` as a state does; returns a
    state's result.

    CLI Example:

    .. code-block:: bash

        salt-call racksalt_node.desire r1n1 ready test=True
    """
    try:
        return {"name": name, **runner("desire", [_as_is(name), goal, f"test={bool(test)}"])}
    except CommandExecutionError as error:
        return {"name": name, "result": False, "comment": str(error), "changes": {}}


def runner(verb, args):
    """
    Run one of racksalt's runner functions on the master and return its answer.

    CLI Example:

    .. code-block:: bash

        salt-call racksalt_node.runner why '[r1n4]'
    """
    answer = __salt__["publish.runner"](f"racksalt.{verb}", arg=list(args), timeout=_TIMEOUT_S)
    # Salt answers {} to who may not ask; of our own answers only that of list can be empty.
    if isinstance(answer, dict) and (answer or verb == "list"):
        return answer
    # Of an error in a runner Salt tells the whole trace back; its last words are ours.
    told = str(answer or "").rpartition("CommandExecutionError: ")[2].strip()
    message = f"racksalt.{verb}: {told or 'the master does not allow it (peer_run) or is away'}"
    raise CommandExecutionError(message)


def _as_is(name):
    """Return a name such that the master does not take it for a number: it reads words, not what is in a list."""
    return json.dumps([name])
