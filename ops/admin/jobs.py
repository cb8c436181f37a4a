"""`codevoice jobs …`: list, show, retry, cancel on the owner's behalf."""

import os
from typing import get_args

import msgspec
import rich_click as click

from app.domain.admin import jobs
from app.domain.jobs.submission import SubmissionLimits
from db.settings import read
from db.types import State
from ops.admin import output
from ops.admin.execution import ask, do, query, settings
from ops.admin.options import CommandContext, Paging, acts, json_option, pages


@click.command()
@click.option("--account", help="Only jobs of this account (e-mail or id).")
@click.option("--state", type=click.Choice(get_args(State)), help="Only jobs in this state.")
@pages
def list_(paging: Paging, account: str | None, state: str | None) -> None:
    """List jobs, the newest first."""
    found = query(
        lambda session: jobs.list_jobs(
            session, account=account, state=state, limit=paging.limit, cursor=paging.cursor
        )
    )
    columns = ("job", "account", "kind", "engine", "voice", "state", "code", "price", "created_at")
    output.page(found, *columns, in_json=paging.as_json)


@click.command()
@click.argument("job")
@json_option
def show(job: str, as_json: bool) -> None:
    """Show JOB (its id) and all its transfers. Never its text."""
    found = query(lambda session: jobs.show_job(session, job))
    if as_json:
        output.as_json(found)
        return
    output.facts(msgspec.convert(found, jobs.JobRow, from_attributes=True))
    output.table(found.entries, "seq", "bucket", "amount", "actor", "reason")


@click.command()
@click.argument("job")
@acts()
def retry(context: CommandContext, job: str) -> None:
    """Queue the failed or expired JOB (its id) again, as a new job with a new hold of its price."""
    ask(context, f"Put job {job} back? Its price is held anew.")
    limits = read(SubmissionLimits, os.environ)
    answer = do(
        context,
        lambda session, act: jobs.retry_job(
            session, act, job, queue_wait_s=limits.queue_wait_s, jobs_waiting_max=limits.jobs_waiting_max
        ),
        lambda answer: f"{answer.code}: job {answer.new_job}, for which {answer.held} credits are held anew",
    )
    if answer is not None and answer.code == "queued":
        _wake_worker(answer.engine)


@click.command()
@click.argument("job")
@acts()
def cancel(context: CommandContext, job: str) -> None:
    """Cancel JOB (its id) on its owner's behalf; the output shows what it cost."""
    ask(context, f"Cancel job {job}?")
    do(
        context,
        lambda session, act: jobs.cancel_job(session, act, job),
        lambda answer: f"{answer.code}: job {answer.job}. {answer.settlement}",
    )


def _wake_worker(engine: str) -> None:
    """Wake a worker; without the message, one finds the job by itself a little later."""
    import redis

    from db.redis import worker_wakeup

    url = settings().redis_url
    try:
        if url:
            worker_wakeup.send_wakeup(worker_wakeup.producer(url), engine)
    except (redis.RedisError, OSError) as error:
        click.echo(f"no worker was woken ({error}): one will find the job by itself", err=True)
