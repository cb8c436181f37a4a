"""What Dramatiq runs: one actor per engine, one message: "there is work". It claims jobs and returns.

If the broker has already claimed when the message arrived, the actor has nothing left to do.
"""

import dramatiq

from db.redis import worker_wakeup
from workers.jobs.broker import BlockingBroker
from workers.jobs.runner import Runner


def declare(broker: BlockingBroker, engine: str, runner: Runner) -> None:
    """Put the engine's `drain` actor on `broker`. A superfluous message is harmless: it finds no jobs."""
    broker.can_claim, broker.woken = runner.can_claim, runner.claim_available

    def drain(seen: bool = False) -> None:
        if not seen:
            runner.claim_available()

    dramatiq.Actor(
        drain,
        broker=broker,
        actor_name=worker_wakeup.actor_name(engine),
        queue_name=worker_wakeup.queue_name(engine),
        priority=0,
        options={},
    )
