"""The workers' settings, from the environment."""

from msgspec import Struct


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """One worker process: one engine on one device."""

    engine: str
    device: str = "cpu"  # cpu, or cuda:N
    # Used if engines together want more of the processor than there is.
    processor_shares: str = "hibari=8,espeak=8,kokoro=2,whisper=2,pocketsphinx=1"
    xtts_licence: str = ""  # non-commercial: the operator has read the weights' terms
    worker_memory_max_mb: int = 0  # the process is replaced above this; 0: no limit
    worker_device_memory_max_mb: int = 0  # of its engine on the device
    account_slots_percent: int = 50  # of an engine's slots, for one account while another account's job waits
    lease_s: float = 10.0
    tries_max: int = 3
    sweep_s: float = 1.0
    drain_s: float = 5.0  # how long running jobs may continue after SIGTERM, before they are returned
    linger_ms: int = 5  # how long a busy engine that batches waits for a fuller batch
    turn_s: float = 10.0  # how long one voice may keep an engine that mixes none
    audio_keep_s: int = 7 * 24 * 3600
    audio_bytes_max: int = 1 << 30
    audio_s_max: int = 4 * 3600
    transcript_keep_s: int = 7 * 24 * 3600  # a request repeated with its Idempotency-Key returns it for a day
    upload_keep_s: int = 0  # 0: an upload is deleted when its job has ended
    upload_sweep_s: float = 300.0  # between searches for uploads that are not needed
    decode_cpu_s: int = 60  # of one upload
    decode_wall_s: int = 120
    decode_memory_bytes: int = 512 << 20
    whisper_model: str = ""  # a folder, or a model of the catalogue; empty: whisper-base
    whisper_download: bool = False
    whisper_compute_type: str = (
        "default"  # int8, int8_float16, float16, float32 …; default: the device's best
    )
    whisper_threads: int = 0  # 0: one a core, 4 at most
    spool_memory_bytes: int = 1 << 20
    live_keep_s: int = 120  # how long live audio waits in Redis for its reader
    live_bytes_max: int = 64 << 20  # of one job in Redis; listeners read the rest from the store
    orphan_s: int = 3600  # an object this old that no job names is deleted
    orphan_look_s: float = 60.0  # between checks of a thousand objects
    ready_fd: int | None = None  # a descriptor that receives a line when the worker is ready
    wake: bool = True  # false: jobs are found by the sweep only
    log_level: str = "info"
