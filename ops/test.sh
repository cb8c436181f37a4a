#!/usr/bin/env bash
# All tests, or those the arguments (pytest's) choose: sets up `.venv`, runs pytest in the checkout and
# exits as it does. The last line names what was left out on this machine, where something was.
set -euo pipefail

# shellcheck source=ops/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up embedded test

cd "$ROOT"
left_out=.pytest_cache/left-out.txt # written by tests/conftest.py
rm -f "$left_out"
status=0
.venv/bin/pytest "$@" || status=$?
if [ -f "$left_out" ]; then cat "$left_out"; fi
exit "$status"
