"""Loops continue after an unexpected error: it is logged, counted, and the step is retried later (A8)."""

import asyncio
import threading

import pytest
from prometheus_client import REGISTRY

from db import supervised
from tests.clock import unhurried


def failures(loop: str) -> float:
    return REGISTRY.get_sample_value("codevoice_loop_failures_total", {"loop": loop}) or 0


class Steps:
    """The first two fail; the third is waited for."""

    def __init__(self) -> None:
        self.calls = 0
        self.third = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        if self.calls < 3:
            raise KeyError("a mistake")
        self.third.set()

    async def in_loop(self) -> None:
        self()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "_PAUSE_S_MIN", 0.01)


def test_a_thread_goes_on_after_an_unexpected_error() -> None:
    steps, stopping, before = Steps(), threading.Event(), failures("thread-test")
    thread = supervised.thread("thread-test", steps, stopping, every_s=0.01)
    thread.start()

    assert steps.third.wait(unhurried(10))
    stopping.set()
    thread.join(10)

    assert not thread.is_alive()
    assert failures("thread-test") - before == 2


async def test_a_task_goes_on_after_an_unexpected_error() -> None:
    steps, before = Steps(), failures("task-test")
    task = asyncio.create_task(supervised.task("task-test", steps.in_loop, every_s=0.01))

    assert await asyncio.to_thread(steps.third.wait, unhurried(10))
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert failures("task-test") - before == 2
