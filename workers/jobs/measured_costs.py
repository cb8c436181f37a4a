"""What jobs took against what was expected of them: their owners' later jobs come that much later."""

from collections.abc import Mapping, Sequence

import psycopg
import structlog

from db.postgres import jobs_worker
from db.types import Finished
from workers.jobs.connection import WorkerLink
from workers.jobs.held import Attempt, HeldJob, HeldJobs

log = structlog.get_logger()
_WORTH_US = 100_000  # less is not worth a statement: such a job is over in no time


def correct(
    link: WorkerLink, ends: Sequence[Finished], results: Mapping[Attempt, str], rows: HeldJobs
) -> None:
    """Put what ended attempts took in place of what was expected, where it differs much."""
    differences = {
        end.id: difference_us(row, results[row.attempt])
        for end in ends
        if (row := rows.get((end.id, end.attempt)))
    }
    more_us = {job: more for job, more in differences.items() if abs(more) >= _WORTH_US}
    if more_us:
        try:
            link.run(jobs_worker.correct_costs, more_us)
        except psycopg.Error as error:  # it stays as it was expected
            log.warning("costs_not_corrected", error=type(error).__name__)


def difference_us(row: HeldJob, result: str) -> int:
    """How much more engine time an attempt took than its job was expected to; 0 where that is not known."""
    took_s = row.engine_s if row.cost_s is None else row.cost_s
    if took_s is None or row.job.cost_us is None:
        return 0
    took_us = round(1_000_000 * took_s)
    if result == "queued":  # what was expected is there for the next attempt
        return took_us
    return took_us - row.job.cost_us
