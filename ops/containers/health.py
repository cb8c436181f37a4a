"""`python -m ops.containers.health URL`: exit status 0 if the URL answers 200; the image has no curl."""

import sys
import urllib.request
from urllib.error import URLError

_ANSWER_S = 2.5


def main(url: str) -> int:
    """Send one request."""
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_S) as answer:  # noqa: S310 # nosec B310 - given by the image
            return 0 if answer.status == 200 else 1
    except (URLError, OSError):
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
