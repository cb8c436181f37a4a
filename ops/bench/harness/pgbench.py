"""Runs Postgres's own pgbench on a throwaway database."""

import os
import re
import subprocess
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from ops.bench import BenchError
from ops.stack import embedded


def pgbench(url: str, script: Path, clients: int, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run `script` with prepared statements; raises BenchError, also if one transaction failed."""
    place = conninfo_to_dict(url)
    common = ("-n", "-M", "prepared", "-j", "2", "-c", str(clients), "-f", str(script))
    done = subprocess.run(
        [embedded.postgres_binary("pgbench"), *common, *options, str(place["dbname"])],
        env={"PATH": os.defpath}
        | {f"PG{name.upper()}": str(place[name]) for name in ("host", "port", "user", "password")},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
    if done.returncode or (failed and int(failed[1])):
        raise BenchError(f"pgbench: {done.stderr.strip()[-300:] or done.stdout[-300:]}")
    return done
