"""How commands report expected errors: one line on stderr and an exit status."""

from collections.abc import Generator
from contextlib import contextmanager

import rich_click as click

NO_STACK = 3  # exit status


@contextmanager
def failing_on(*expected: type[Exception]) -> Generator[None]:
    """Turn these exceptions into one message and exit status 1; NoStack into 3."""
    try:
        yield
    except Exception as error:
        from ops.stack.home import HomeError  # not earlier: some benchmarks cannot import these
        from ops.stack.running import NoStack

        if not isinstance(error, (NoStack, HomeError, *expected)):
            raise
        click.echo(f"codevoice: {error}", err=True)  # plain text: a frame would break paths and commands
        raise SystemExit(NO_STACK if isinstance(error, NoStack) else 1) from None
