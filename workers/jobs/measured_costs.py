"""Corrects a job's expected engine time to the measured one: its owner's later jobs move accordingly."""

from collections.abc import Mapping, Sequence

import psycopg
import structlog

from db.postgres import jobs_worker
from db.types import Finished
from workers.jobs.connection import WorkerLink
from workers.jobs.held import Attempt, HeldJob, HeldJobs

log = structlog.get_logger()
_WORTH_US = 100_000  # a smaller difference is not worth a statement: such a job is short


def correct(
    link: WorkerLink, ends: Sequence[Finished], results: Mapping[Attempt, str], rows: HeldJobs
) -> None:
    """Replace the expected engine time of ended attempts by the measured one, if it differs much."""
    differences = {
        end.id: difference_us(row, results[row.attempt])
        for end in ends
        if (row := rows.get((end.id, end.attempt)))
    }
    more_us = {job: more for job, more in differences.items() if abs(more) >= _WORTH_US}
    if more_us:
        try:
            link.run(jobs_worker.correct_costs, more_us)
        except psycopg.Error as error:  # the expected value stays
            log.warning("costs_not_corrected", error=type(error).__name__)


def difference_us(row: HeldJob, result: str) -> int:
    """The engine time of an attempt minus the job's expected one; 0 if it is not known."""
    took_s = row.engine_s if row.cost_s is None else row.cost_s
    if took_s is None or row.job.cost_us is None:
        return 0
    took_us = round(1_000_000 * took_s)
    if result == "queued":  # the expected value stays for the next attempt
        return took_us
    return took_us - row.job.cost_us
