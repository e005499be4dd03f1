"""
Switches, for operators: the same verbs as ``racksalt switch``, as ``salt-run racksalt_switch.<verb>``.

Here, on the Salt master, switches are reached that run a minion of their own (``via: minion``).
"""

from salt.exceptions import CommandExecutionError

__func_alias__ = {"list_": "list"}


def list_():
    """
    List the declared switches and what was last done to each; none is asked.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_switch.list
    """
    return {it["name"]: it for it in _ask("listed")}


def show(name):
    """
    Show a switch as it is: all ports, whoever declared them.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_switch.show tor-r1
    """
    return _ask("show", name)


def plan(name, clear=False):
    """
    Tell which steps lead from what the switch is to what is declared, and why; changes nothing.

    clear
        plan a switch as it comes out of its box instead

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_switch.plan tor-r1
    """
    return _ask("plan", name, clear=bool(clear))


def drift(name):
    """
    Tell how a switch differs from what is declared.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_switch.drift tor-r1
    """
    return _ask("drift", name)


def apply(name, plan=None, dry_run=False):
    """
    Make a switch what is declared. A step that fails takes the others back.

    plan
        hash of the plan that was reviewed; another plan by now is refused

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_switch.apply tor-r1 plan=9f86d081884c7d65
    """
    return _ask("apply", name, _actor(), plan=_text(plan), dry_run=bool(dry_run))


def clear(name, plan=None, dry_run=False):
    """
    Take all VLANs and settings off all ports, but for what the switch is reached by.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_switch.clear tor-r1 dry_run=True
    """
    options = {"plan": _text(plan), "dry_run": bool(dry_run), "clear": True}
    return _ask("apply", name, _actor(), **options)


def rollback(name, plan=None, dry_run=False):
    """
    Take back the last change of a switch, also one that broke off in the middle.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_switch.rollback tor-r1
    """
    return _ask("rollback", name, _actor(), plan=_text(plan), dry_run=bool(dry_run))


def history(name, limit=50):
    """
    Show what was done to a switch, newest first.

    CLI Example:

    .. code-block:: bash

        salt-run racksalt_switch.history tor-r1
    """
    return {"entries": _ask("history", name, int(limit))}


def _ask(verb, *args, **kwargs):
    from racksalt.bootstrap import switches_of
    from racksalt.model.errors import RacksaltError

    try:
        operations = switches_of(__opts__)
        try:
            return getattr(operations, verb)(*args, **kwargs)
        finally:
            operations.close()
    except RacksaltError as error:
        raise CommandExecutionError(str(error)) from None


def _actor():
    from racksalt.adapters.salt_runner import actor

    return actor(__opts__)


def _text(plan):
    from racksalt.adapters.salt_runner import plan_text

    return plan_text(plan)
