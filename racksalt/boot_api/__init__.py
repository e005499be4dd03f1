"""The boot API: what machines on the provisioning network ask and report, over HTTP."""

from racksalt.boot_api.app import create_app
from racksalt.boot_api.context import Limits

__all__ = ["Limits", "create_app"]
