"""The operators' verbs over a site's folder and a store, with a world that does nothing."""

from __future__ import annotations

import time
from contextlib import contextmanager

from racksalt.adapters.site_files import SiteFolder
from racksalt.conductor import Conductor
from racksalt.conductor.access import Access
from racksalt.conductor.operations import Operations
from racksalt.settings import ConductorSettings
from racksalt.site.site import Site
from tests.support.builders import the_rules
from tests.support.fakes import FakeWorld


@contextmanager
def verbs_over(store, folder):
    """Give the verbs, with all that the site declares taken in."""
    world = FakeWorld(clock=time.time)
    conductor = Conductor(store, the_rules, world.ports, ConductorSettings(), b"s" * 32)
    found = Operations(conductor, Site(SiteFolder(folder)), Access(store, time.time, b"p"))
    found.declare()
    try:
        yield found
    finally:
        conductor.stop()
