"""How much of an engine's time accounts have had, so that the next turn is that of whoever has had least."""

from collections import Counter
from collections.abc import Collection
from uuid import UUID


class Shares:
    """Seconds of engine time by account. Not locked: its user's lock holds for it.

    An account that comes, or has had nothing to do, begins with what the least served of those that wait has
    had: nobody saves up time. What it had is forgotten with its last utterance: an account that asks for one
    short text after the other is not behind those that are never done.
    """

    def __init__(self) -> None:
        self._had_s: dict[UUID, float] = {}
        self._utterances: Counter[UUID] = Counter()  # of those that are here

    def join(self, owner: UUID) -> None:
        """An utterance of `owner` is there."""
        if owner not in self._had_s:
            self._had_s[owner] = min(self._had_s.values(), default=0.0)
        self._utterances[owner] += 1

    def leave(self, owner: UUID) -> None:
        """One of them is over."""
        self._utterances[owner] -= 1
        if not self._utterances[owner]:
            del self._utterances[owner], self._had_s[owner]

    def charge(self, owner: UUID, seconds: float) -> None:
        """`owner` has had that much, or is about to; negative where it was less than expected."""
        if owner in self._had_s:
            self._had_s[owner] += seconds

    def had_s(self, owner: UUID) -> float:
        """What `owner` has had; only the difference to others says something."""
        return self._had_s[owner]

    def least_s(self, waiting: Collection[UUID], at_work: Collection[UUID]) -> float:
        """What the least served of `waiting` has had. Who neither waits nor works is behind it no more."""
        least_s = min((self._had_s[owner] for owner in waiting), default=0.0)
        for owner in self._utterances:
            if owner not in waiting and owner not in at_work:
                self._had_s[owner] = max(self._had_s[owner], least_s)
        return least_s
