"""The machine room's settings, from the environment."""

from msgspec import Struct


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """One worker process: one engine on one device."""

    engine: str
    device: str = "cpu"  # cpu, or cuda:N
    lease_s: float = 10.0
    tries_max: int = 3
    sweep_s: float = 1.0
    drain_s: float = 5.0  # how long running jobs may go on after TERM, before they are handed back
    linger_ms: int = 5  # how long a busy one-voice engine waits for a fuller batch
    turn_s: float = 10.0  # how long one voice may keep such an engine while another waits
    audio_keep_s: int = 7 * 24 * 3600
    audio_bytes_max: int = 1 << 30
    spool_memory_bytes: int = 1 << 20
    wake: bool = True  # false: found by the sweep only
    log_level: str = "info"
