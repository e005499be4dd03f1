"""
Pillar from the layers global, zone, rack and node, and the minion's own facts under ``racksalt``.

.. code-block:: yaml

    ext_pillar:
      - racksalt: {}

    racksalt:
      settings: /etc/racksalt/racksalt.yaml

A minion is known by its id, which is bound to its key; its grains decide nothing. An id that racksalt does not know
gets nothing. When the layers cannot be read, the reason goes to the master's log: what Salt tells the minion may not
name other nodes.
"""

import logging

from salt.exceptions import CommandExecutionError

__virtualname__ = "racksalt"
log = logging.getLogger(__name__)


def __virtual__():
    return __virtualname__


def ext_pillar(minion_id, pillar, **_settings):  # noqa: ARG001
    """Return what this minion may know: its own configuration and its own facts."""
    try:
        from racksalt.adapters.pillar_facts import facts_from
        from racksalt.bootstrap import shared_app
        from racksalt.site.pillar import pillar_for

        app = shared_app(__opts__)
        return pillar_for(minion_id, app.site, facts_from(app.store, app.site))
    except Exception:
        log.exception("no pillar for %s", minion_id)
        raise CommandExecutionError("racksalt has no pillar for it; see the master's log") from None
