"""What Dramatiq runs: one actor for the worker's engine and device, and one message: "there is work"."""

import dramatiq
from dramatiq import Middleware

from db.redis import worker_wakeup
from workers.jobs.broker import BlockingBroker
from workers.jobs.claiming import Claimer


class EngineOptions(Middleware):
    """Allows actors the options `engine` and `device`: whose jobs they run, and where."""

    @property
    def actor_options(self) -> set[str]:
        return {"engine", "device"}


def declare(broker: BlockingBroker, claims: Claimer, *, engine: str, device: str) -> None:
    """Put the engine's actor on `broker`. A superfluous message is harmless: it finds no jobs."""
    broker.can_claim = claims.can_claim
    broker.add_middleware(EngineOptions())

    @dramatiq.actor(
        broker=broker,
        actor_name=worker_wakeup.actor_name(engine),
        queue_name=worker_wakeup.queue_name(engine),
        engine=engine,
        device=device,
    )
    def run_batch() -> None:  # pyright: ignore[reportUnusedFunction]
        """Claim a batch for the free slots, and have the engine begin it."""
        claims.claim_available()
