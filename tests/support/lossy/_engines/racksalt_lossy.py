"""The conductor's host with a bus that loses events: ``share`` of all that its reader gets is thrown away.

How many came and how many were thrown away is kept in ``counts``, a file of JSON.
"""

import json
import pathlib
import random
import threading


def start(share, counts, seed=1):
    """Run racksalt's conductor behind the lossy reader until the master ends."""
    from racksalt.adapters import salt_host
    from racksalt.bootstrap import open_app, settings_from

    dice = random.Random(seed)
    told = {"came": 0, "thrown_away": 0}
    kept_whole = salt_host.Inbox

    class Lossy(kept_whole):
        """Throws events away before anything is done with them."""

        def __call__(self, hints):
            kept = [hint for hint in hints if dice.random() >= share]
            told["came"] += len(hints)
            told["thrown_away"] += len(hints) - len(kept)
            pathlib.Path(counts).write_text(json.dumps(told))
            super().__call__(kept)

    salt_host.Inbox = Lossy
    opts = dict(__opts__)  # noqa: F821 - injected by the loader
    app = open_app(settings_from(opts["racksalt"]["settings"]), salt_opts=opts)
    try:
        salt_host.serve(app.store, app.conductor, opts, start=app.start, stop=threading.Event())
    finally:
        app.close()
