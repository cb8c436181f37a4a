"""How a job's credits were settled, in one sentence from the ledger: the same in all responses and pages."""

from typing import Protocol

from app.domain.billing.credits import in_words
from db.types import MICRO, State

OPEN = ("queued", "processing")


class Settled(Protocol):
    """A job's settled price, in micro-credits."""

    @property
    def state(self) -> State: ...
    @property
    def spent(self) -> int:
        """Charged and not refunded; 0 until the job has ended."""
        ...

    @property
    def refunded(self) -> int: ...


def settled_in_words(job: Settled) -> str:
    """The sentence for a job that has ended, in any state; empty until then."""
    if job.state in OPEN:
        return ""
    if job.spent and job.state == "completed":
        return f"{_were(job.spent)} charged."
    if job.spent:
        return f"{_were(job.spent)} charged for the audio that was given to a listener."
    if job.refunded:
        return f"Nothing was charged in the end: {_were(job.refunded)} refunded."
    if job.state == "completed":
        return "Nothing was charged."
    return "Nothing was charged: the credits held for it were returned."


def credits_in_words(micro: int) -> str:
    """`1 credit`, `2.5 credits`."""
    return f"{in_words(micro)} {'credit' if micro == MICRO else 'credits'}"


def _were(micro: int) -> str:
    return f"{credits_in_words(micro)} {'was' if micro == MICRO else 'were'}"
