"""
The conductor's host: everything that racksalt does by itself is done in this engine.

.. code-block:: yaml

    engines:
      - racksalt: {}

    racksalt:
      settings: /etc/racksalt/racksalt.yaml
"""

import contextlib
import threading

with contextlib.suppress(ImportError):
    # Salt loads this file in the master's main process, before it forks: engine, reactor and workers share what is
    # loaded here. Where something is missing, `start` says so.
    import racksalt.adapters.salt_runner
    import racksalt.bootstrap  # noqa: F401

__virtualname__ = "racksalt"


def __virtual__():
    return __virtualname__


def start():
    """Run racksalt's conductor until the master ends. Salt starts it again if it fails."""
    from racksalt.adapters.salt_host import serve
    from racksalt.bootstrap import open_app, settings_from

    opts = dict(__opts__)
    app = open_app(settings_from(opts["racksalt"]["settings"]), salt_opts=opts)
    try:
        serve(app.store, app.conductor, opts, start=app.start, stop=threading.Event())
    finally:
        app.close()
