"""The conductor's host with a bus that loses events: ``share`` of all that it gets is thrown away.

It gets them in two places: its reader, and whoever has asked minions something and listens for who returns. How many
came and how many were thrown away is kept in ``counts``, a file of JSON.
"""

import json
import pathlib
import random
import threading


def start(share, counts, seed=1):
    """Run racksalt's conductor behind the lossy reader until the master ends."""
    from racksalt.adapters import salt_client, salt_host
    from racksalt.bootstrap import open_app, settings_from

    dice = random.Random(seed)
    told = {"came": 0, "thrown_away": 0, "unheard": 0}
    lock = threading.Lock()
    kept_whole, heard_whole = salt_host.Inbox, salt_client.SaltClient._hear

    def lose(events):
        with lock:
            kept = [event for event in events if dice.random() >= share]
            told["came"] += len(events)
            told["thrown_away"] += len(events) - len(kept)
            pathlib.Path(counts).write_text(json.dumps(told))
        return kept

    class Lossy(kept_whole):
        """Throws events away before anything is done with them."""

        def __call__(self, hints):
            super().__call__(lose(hints))

    def hear(self, jid, wait_s):
        heard = heard_whole(self, jid, wait_s)
        kept = set(lose(heard))
        told["unheard"] += len(heard) - len(kept)
        return kept

    salt_host.Inbox = Lossy
    salt_client.SaltClient._hear = hear
    opts = dict(__opts__)  # noqa: F821 - injected by the loader
    app = open_app(settings_from(opts["racksalt"]["settings"]), salt_opts=opts)
    try:
        salt_host.serve(app.store, app.conductor, opts, start=app.start, stop=threading.Event())
    finally:
        app.close()
