"""Hardware, for operators: the same verbs as ``racksalt hardware``, as ``salt-run racksalt_hardware.<verb>``."""

from salt.exceptions import CommandExecutionError


def inventory(node):
    """
    Show all that is known of a node's hardware, and where its switch port says that it stands.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_hardware.inventory r1n1
    """
    return _ask("inventory", _name(node))


def burn_in(*nodes, worse=False):
    """
    List burn-in figures beside those of the same parts of other nodes.

    worse
        only what failed or stands out

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_hardware.burn_in worse=True
    """
    return _ask("burn_in", _names(nodes), worse=bool(worse))


def firmware(node):
    """
    Compare a node's firmware with the site's baseline.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_hardware.firmware r1n1
    """
    return _ask("firmware", _name(node))


def update_firmware(node, plan=None, dry_run=False):
    """
    Hand the next firmware image of the plan to the node's BMC.

    plan
        hash of the plan that was reviewed

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_hardware.update_firmware r1n1 dry_run=True
    """
    from racksalt.adapters.salt_runner import plan_text

    options = {"plan": plan_text(plan), "dry_run": bool(dry_run)}
    return _ask("update_firmware", _name(node), _actor(), **options)


def firmware_task(node, task):
    """
    Tell how far a firmware update is.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_hardware.firmware_task r1n1 /redfish/v1/TaskService/Tasks/1
    """
    return _ask("firmware_task", _name(node), task)


def bios(node):
    """
    Compare a node's BIOS settings with those that the site wants.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_hardware.bios r1n1
    """
    return _ask("bios", _name(node))


def set_bios(node, dry_run=False):
    """
    Let the wanted BIOS settings take force at the node's next start; restarts nothing.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_hardware.set_bios r1n1 dry_run=True
    """
    return _ask("set_bios", _name(node), _actor(), dry_run=bool(dry_run))


def security(*nodes):
    """
    Try well-known factory passwords on the nodes' BMCs, once each.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_hardware.security r1n1
    """
    return _ask("security", _names(nodes), _actor())


def _names(given):
    from racksalt.adapters.salt_runner import names

    return _told(lambda: names(given))


def _name(given):
    from racksalt.adapters.salt_runner import name

    return _told(lambda: name(given))


def _ask(verb, *args, **options):
    from racksalt.bootstrap import shared_app
    from racksalt.conductor.hardware import HardwareOperations

    def asked():
        return getattr(HardwareOperations(shared_app(__opts__).operations), verb)(*args, **options)

    return _told(asked)


def _told(function):
    from racksalt.model.errors import RacksaltError

    try:
        return function()
    except RacksaltError as error:
        raise CommandExecutionError(f"{error.code}: {error}") from error


def _actor():
    from racksalt.adapters.salt_runner import actor

    return actor(__opts__)
