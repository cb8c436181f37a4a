"""How much engine time each account has had, so that the next turn goes to the account with the least."""

from collections import Counter
from collections.abc import Collection
from uuid import UUID


class Shares:
    """Seconds of engine time by account. Not locked: the caller's lock protects it.

    An account that arrives, or has been idle, starts at the amount of the least served account that waits:
    nobody saves up time. Its amount is forgotten with its last utterance: an account that sends one short
    text after the other is not behind accounts that always have work.
    """

    def __init__(self) -> None:
        self._had_s: dict[UUID, float] = {}
        self._utterances: Counter[UUID] = Counter()  # of the accounts that are present

    def join(self, owner: UUID) -> None:
        """Add an utterance of `owner`."""
        if owner not in self._had_s:
            self._had_s[owner] = min(self._had_s.values(), default=0.0)
        self._utterances[owner] += 1

    def leave(self, owner: UUID) -> None:
        """Remove one of its utterances."""
        self._utterances[owner] -= 1
        if not self._utterances[owner]:
            del self._utterances[owner], self._had_s[owner]

    def charge(self, owner: UUID, seconds: float) -> None:
        """Charge `owner`; negative if the work took less than expected."""
        if owner in self._had_s:
            self._had_s[owner] += seconds

    def had_s(self, owner: UUID) -> float:
        """Seconds charged to `owner`; only the difference to other accounts has a meaning."""
        return self._had_s[owner]

    def least_s(self, waiting: Collection[UUID], at_work: Collection[UUID]) -> float:
        """The amount of the least served of `waiting`. Accounts that neither wait nor work do not count."""
        least_s = min((self._had_s[owner] for owner in waiting), default=0.0)
        for owner in self._utterances:
            if owner not in waiting and owner not in at_work:
                self._had_s[owner] = max(self._had_s[owner], least_s)
        return least_s
