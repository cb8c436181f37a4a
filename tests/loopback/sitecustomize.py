"""Python imports this at its start where the folder is on PYTHONPATH: no connection leaves the machine.

An attempt is noted in the file LOOPBACK_ATTEMPTS and refused. Children inherit it.
"""

import os
import sys


def _watch(event: str, given: "tuple[object, ...]") -> None:
    if event in ("socket.connect", "socket.sendto"):
        host = given[1][0] if isinstance(given[1], tuple) else "localhost"
    elif event == "socket.getaddrinfo":
        host = given[0]
    else:
        return
    if host not in (None, "", "127.0.0.1", "::1", "localhost"):
        with open(os.environ["LOOPBACK_ATTEMPTS"], "a") as file:
            file.write(f"{event} {host}\n")
        raise PermissionError(f"a test tried to reach {host!r}")


sys.addaudithook(_watch)
