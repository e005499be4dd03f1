"""The Power port over IPMI 2.0: rules in `bmc_power`, processes in `ipmi_pool`, pyghmi in `ipmi_session`."""

from __future__ import annotations

from racksalt.adapters.bmc_power import BmcPower, BmcSettings
from racksalt.adapters.breaker import BreakerSettings

__all__ = ["BmcSettings", "BreakerSettings", "IpmiPower"]


class IpmiPower(BmcPower):
    """The Power port over IPMI. See `BmcPower`."""

    protocol = "ipmi"
    budget_s = 25.0
