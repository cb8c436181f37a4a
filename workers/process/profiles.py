"""What each kind of confined child may do and use, defined only here.

Standard library only: the confined programs import it by bare Python.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Profile(NamedTuple):
    """The confinement of one kind of child. The limits hold for one child, which serves one request.

    Every child has an empty environment, `no_new_privs`, no capabilities, and Landlock to the folders that
    its program names, for reading. `uid`: used where the worker is root.
    """

    uid: int
    cpu_s: int
    wall_s: int
    memory_bytes: int | None  # of address space, beyond the server's; None: no limit
    open_files: int = 0  # descriptors are numbered below this; inherited ones stay open
    file_bytes: int = 0  # maximum size of a file it writes
    processes: int = 0  # of its uid, threads included, at which it cannot start more
    seccomp: bool = True
    reads_files: bool = False  # opens files of its folders while it serves


_HOUR_S = 3600

PROFILES: Mapping[str, Profile] = {
    # Files: espeak loads the dictionary of another language when a text changes its script.
    "espeak": Profile(
        uid=64001, cpu_s=120, wall_s=_HOUR_S, memory_bytes=256 << 20, open_files=64, reads_files=True
    ),
    # The time limits are set for each recording, by its length; so are all of the decoder's.
    "pocketsphinx": Profile(uid=64002, cpu_s=_HOUR_S, wall_s=_HOUR_S, memory_bytes=2 << 30),
    "decoder": Profile(uid=64003, cpu_s=60, wall_s=120, memory_bytes=512 << 20),
    # A child speaks many pieces; the worker replaces it when half of its time is used up. Two kinds of model,
    # two users. Open files: poll refuses to wait for a descriptor above the limit.
    "hibari": Profile(uid=64005, cpu_s=120, wall_s=_HOUR_S, memory_bytes=1 << 30, open_files=64),
    "kokoro": Profile(uid=64006, cpu_s=240, wall_s=_HOUR_S, memory_bytes=2 << 30, open_files=64),
    # CUDA reserves far more address space than memory, starts threads, and makes system calls that depend on
    # the driver: it gets everything except seccomp and the address space limit.
    "cuda": Profile(
        uid=64004,
        cpu_s=7 * 24 * _HOUR_S,
        wall_s=24 * _HOUR_S,
        memory_bytes=None,
        open_files=1024,
        processes=512,
        seccomp=False,
        reads_files=True,
    ),
}
