"""The way to a Linux switch by the Salt minion that runs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from racksalt.adapters.salt_client import SaltClient
from racksalt.adapters.switch_runner import TIMEOUT_S
from racksalt.model.errors import AgentUnreachableError, SwitchError

if TYPE_CHECKING:
    from racksalt.adapters.salt_client import Opts
    from racksalt.model.switch import Switch

_END = "@@racksalt-status "


class MinionRunner:
    """Runs scripts by ``cmd.run_all``; answers come from the job cache, where only the minion's key can put them."""

    def __init__(self, opts: Opts, switch: Switch) -> None:
        self._client, self._name = SaltClient(opts), switch.name
        self._minion = switch.minion or switch.name

    def run(self, script: str) -> str:
        """Run a script and return what it prints; see Runner."""
        # The status is printed, because Salt gives nothing else of a function whose command failed.
        line = f"(\n{script}\n)\necho '{_END}'$?"
        options = {"python_shell": True, "shell": "/bin/sh", "__kwarg__": True}
        try:
            answers = self._client.ask([self._minion], "cmd.run_all", [line, options], TIMEOUT_S)
        except AgentUnreachableError as error:
            raise SwitchError(f"{self._name}: {error.message}", error.hint) from error
        finally:
            self._client.forget()
        if not isinstance(answers.get(self._minion), dict):
            told = f"{self._name}: its minion {self._minion} did not answer"
            raise SwitchError(told, f"salt {self._minion} test.ping")
        answer = answers[self._minion]
        printed, _, status = str(answer.get("stdout", "")).rpartition(_END)
        if status.strip() != "0":
            raise SwitchError(f"{self._name}: {str(answer.get('stderr', ''))[-300:].strip()}")
        return printed
