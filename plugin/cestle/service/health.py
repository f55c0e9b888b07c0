"""Health: questions with an answer in words, each asked in a thread so that none can hang all."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cestle.errors import CestleError
from cestle.service.logs import describe_fault

Check = Callable[[], str]
"""Says what is wrong; empty when nothing is. Never names a patient."""
ANSWER_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The answer to one check: its name, and what is wrong; empty when nothing is."""

    name: str
    reason: str

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.reason


class Health:
    """Asks all checks at once.

    Parameters
    ----------
    checks
        By name.
    answer_s
        A check that has not answered after this time counts as failed [s].
    """

    def __init__(self, checks: Mapping[str, Check], *, answer_s: float = ANSWER_SECONDS) -> None:
        self._checks = dict(checks)
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._asked: dict[str, threading.Thread] = {}
        self._answers: dict[str, str] = {}

    def look(self) -> tuple[Finding, ...]:
        """Ask all checks; one that still thinks about the last question is not asked again."""
        with self._lock:
            for name, check in self._checks.items():
                if name not in self._asked or not self._asked[name].is_alive():
                    self._answers.pop(name, None)
                    self._asked[name] = threading.Thread(
                        target=self._ask, args=(name, check), name=f"health {name}", daemon=True
                    )
                    self._asked[name].start()
            for thread in self._asked.values():
                thread.join(self._answer_s)
            silent = f"no answer within {self._answer_s:g} s"
            return tuple(
                Finding(name=name, reason=self._answers.get(name, silent)) for name in self._checks
            )

    def _ask(self, name: str, check: Check) -> None:
        try:
            self._answers[name] = check()
        except CestleError as fault:
            self._answers[name] = str(fault)
        except Exception as fault:  # noqa: BLE001 - a check that fails is an answer
            self._answers[name] = describe_fault(fault)
