"""Errors that a person can act on.

Each class is one ``code``; ``docs/reference/errors/<code>.md`` says what happened, why, and what to do.
"""

from __future__ import annotations

from typing import Any, ClassVar


class RacksaltError(Exception):
    """Something that a caller can mend. ``message`` says what and where, ``hint`` what to do instead."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str = "", **detail: Any) -> None:
        super().__init__(message if not hint else f"{message} ({hint})")
        self.message = message
        self.hint = hint
        self.detail = detail


class NotFoundError(RacksaltError):
    """The named thing does not exist."""

    code = "not_found"


class InvalidInputError(RacksaltError):
    """An argument, a file or a key does not fit its schema or makes no sense."""

    code = "invalid_input"


class IllegalEventError(RacksaltError):
    """The node's state does not accept this event; ``detail['legal']`` lists what it accepts."""

    code = "illegal_event"


class UnsoundMachineError(RacksaltError):
    """A table, a stage or a sequence breaks a rule of the machine; nothing was changed."""

    code = "unsound_machine"


class ConflictError(RacksaltError):
    """Somebody else changed the thing in between; read it again and retry."""

    code = "conflict"


class ForbiddenError(RacksaltError):
    """The token lacks the scope, is expired or is revoked."""

    code = "forbidden"


class ProofError(RacksaltError):
    """A node's proof of identity was refused; ``message`` says why."""

    code = "proof_refused"


class BmcError(RacksaltError):
    """A management controller could not be asked, or refused."""

    code = "bmc_error"


class BmcUnreachableError(BmcError):
    """No answer from the BMC within its time; the node's state is left alone."""

    code = "bmc_unreachable"


class BmcRefusedError(BmcError):
    """The BMC answered and said no (credentials, privilege, unsupported)."""

    code = "bmc_refused"


class BmcSuspendedError(BmcError):
    """The circuit breaker of this BMC is open; ``detail['retry_after_s']`` says for how long."""

    code = "bmc_suspended"


class StoreError(RacksaltError):
    """The database could not be read or written (full disk, wrong schema revision, no connection)."""

    code = "store_error"


class SettingsError(InvalidInputError):
    """The settings file is wrong; the message names file, key and remedy."""

    code = "settings_error"


class AgentUnreachableError(RacksaltError):
    """The Salt master did not take a job; nothing is known about whether a minion got it."""

    code = "agent_unreachable"


class SwitchError(RacksaltError):
    """A switch could not be asked, or refused a change; ``detail['undone']`` says whether it is as it was."""

    code = "switch_error"


class SwitchPlanError(RacksaltError):
    """A switch's plan would cut racksalt off, or asks for what the switch does not have; nothing was changed."""

    code = "switch_plan_refused"


class ImageError(RacksaltError):
    """An image could not be built, or is not what its manifest says."""

    code = "image_error"


class DhcpError(RacksaltError):
    """The DHCP server cannot run (port taken, no interface, program missing) or refused its configuration."""

    code = "dhcp_error"
