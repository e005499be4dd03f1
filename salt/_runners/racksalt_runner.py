"""
The operator's front door: the same verbs as the command ``racksalt``, as ``salt-run racksalt.<verb>``.

Every command takes ``dry_run=True``, which plans it and changes nothing.
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "racksalt"
__func_alias__ = {"list_": "list"}


def __virtual__():
    return __virtualname__


def list_(state=None, rack=None, zone=None):
    """
    List nodes by id, narrowed by state, rack and zone.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.list
        salt-run racksalt.list state=problem zone=z1
    """
    shown = ("state", "stage", "goal", "zone", "rack", "power", "reason")
    narrowed = {"state": state, "rack": rack, "zone": zone}
    nodes = _ask(
        "list_nodes", **{key: None if it is None else _name(it) for key, it in narrowed.items()}
    )
    return {node["id"]: {key: node[key] for key in shown if node[key]} for node in nodes}


def show(node):
    """
    Show one node with its hardware, NICs, disks, BMC and addresses.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.show r1n1
    """
    return _ask("show", _name(node))


def why(node):
    """
    Tell what a node waits for, since when, what was last seen of it and what a person can do.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.why r1n4
    """
    return _ask("why", _name(node))


def history(node, limit=50, before=None):
    """
    Show a node's journal, newest first.

    limit
        at most so many entries

    before
        only entries older than this sequence number

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.history r1n4 limit=10
    """
    before = None if before is None else int(before)
    return {"entries": _ask("history", _name(node), int(limit), before)}


def approve(*nodes, **options):
    """
    Let discovered nodes in.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.approve r1n1 r1n2
    """
    return _command("approve", nodes, options)


def commission(*nodes, **options):
    """
    Set nodes up, test them, and go on to the goal.

    goal
        ``ready`` or ``commissioned``

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.commission r1n1 goal=ready
    """
    return _command("commission", nodes, options)


def install(*nodes, **options):
    """
    Install commissioned nodes.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.install r1n1
    """
    return _command("install", nodes, options)


def reinstall(*nodes, **options):
    """
    Wipe nodes and install them anew.

    plan
        hash of the plan that was reviewed (``dry_run=True`` shows it)

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.reinstall r1n1 dry_run=True
        salt-run racksalt.reinstall r1n1 plan=9f86d081884c7d65
    """
    return _command("reinstall", nodes, options)


def release(*nodes, **options):
    """
    Erase nodes and keep them for another use.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.release r1n1 dry_run=True
    """
    return _command("release", nodes, options)


def retire(*nodes, **options):
    """
    Erase nodes and take them out of use.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.retire r1n1 dry_run=True
    """
    return _command("retire", nodes, options)


def forget(*nodes, **options):
    """
    Take nodes in ``problem`` out of service without erasing them: dead hardware.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.forget r1n4
    """
    return _command("forget", nodes, options)


def recover(*nodes, **options):
    """
    Send nodes in ``problem`` back to where the trouble arose.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.recover r1n4
    """
    return _command("recover", nodes, options)


def power(action, *nodes, **options):
    """
    Switch nodes on or off, or off and on again; ``status`` shows what was last seen.

    action
        ``on``, ``off``, ``cycle`` or ``status``

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.power cycle r1n1
        salt-run racksalt.power status r1n1 r1n2
    """
    if isinstance(action, bool):  # Salt's command line reads on and off as truth values
        action = "on" if action else "off"
    if action != "status":
        return _command(f"power_{action}", nodes, options)
    return {node: _ask("show", node)["power"] for node in _names(nodes)}


def token_create(name, scopes, expires_in_s=30 * 86400):
    """
    Make a token. Its secret goes to a file for racksalt's user alone, which the answer names: what a runner
    returns is kept in the job cache. ``racksalt token create`` prints it instead.

    scopes
        list, or text with commas

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.token_create dashboard topology:read expires_in_s=86400
    """
    given = name, _names([scopes]), float(expires_in_s), _actor()
    return _do(_salt().create_token, _app().settings.secrets, *given)


def token_revoke(token):
    """
    Make a token worthless, within 3 seconds for requests and 8 for subscriptions.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.token_revoke 3f2a
    """
    return _ask("token_revoke", token)


def token_list():
    """
    List tokens without their secrets.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.token_list
    """
    return {"tokens": _ask("token_list")}


def explain(node, key):
    """
    Tell which layer set a configuration value of a node, and which layers it hides.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.explain r1n1 ntp:servers
    """
    return _ask("explain", _name(node), key)


def impact(file):
    """
    Tell which nodes a layer file touches.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.impact pillar/rack/r1.sls
    """
    return _ask("impact", file)


def declare(test=False):
    """
    Take the site's files in: zones, racks, networks, nodes.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.declare test=True
    """
    return {"changes": _ask("declare", test=bool(test))}


def present(kind, name, fields=None, test=False):
    """
    Declare one zone, rack, network or node.

    kind
        ``zones``, ``racks``, ``networks`` or ``nodes``

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.present racks r9 '{zone: z1}' test=True
    """
    from racksalt.conductor import desired

    return {"changes": _do(desired.present, kind, _name(name), fields or {}, test=bool(test))}


def desire(node, goal, test=False):
    """
    Send a node on its way to ``ready``, ``commissioned`` or ``retired``, unless it is there.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.desire r1n1 ready test=True
    """
    from racksalt.conductor import desired

    return _do(desired.desire, _name(node), goal, _actor(), test=bool(test))


def enroll(node):
    """
    Check the node's waiting key against the proof that came with it, and accept it if both fit.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.enroll r1n1
    """
    return _salt().check_keys(_app().conductor, dict(__opts__), _name(node))


def hint(tag, data):
    """
    Take in an event of the bus that a reactor hands over.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt.hint racksalt/node/r1n1/event/moved '{data: {}}'
    """
    app = _app()
    return _salt().take_hint(app.store, app.conductor, dict(__opts__), tag, data)


def _command(verb, nodes, options):
    given = _do(lambda _: _salt().command_options(verb, options))
    return _ask("run", verb, _names(nodes, f"{verb}: name the nodes"), _actor(), **given)


def _names(given, nobody=""):
    return _do(lambda _: _salt().names(given, nobody))


def _name(given):
    return _do(lambda _: _salt().name(given))


def _ask(verb, *args, **kwargs):
    return _do(lambda operations: getattr(operations, verb)(*args, **kwargs))


def _do(function, *args, **kwargs):
    from racksalt.model.errors import RacksaltError

    try:
        return function(_app().operations, *args, **kwargs)
    except RacksaltError as error:
        raise CommandExecutionError(str(error)) from None


def _app():
    from racksalt.bootstrap import shared_app

    return shared_app(__opts__)


def _actor():
    return _salt().actor(__opts__)


def _salt():
    from racksalt.adapters import salt_runner

    return salt_runner
