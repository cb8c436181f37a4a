#!/usr/bin/env bash
# Runs all tests, or those the arguments (pytest's) select: sets up `.venv`, runs pytest in the checkout and
# exits with its status. The last line names the tests left out, if any.
#
# Up to four run at once, one more than there are cores, since many wait (pytest-xdist; "-n 0" for one).
#
# Real models are fetched first into CODEVOICE_MODELS, by default `.tools/models`; if one cannot be fetched, its
# tests are left out.
#
# --without-models: without them, without the engines that need PyTorch, and without the tests of both.
set -euo pipefail

# shellcheck source=ops/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
case " $* " in
  *" --without-models "*) set_up embedded test ;;
  *)
    set_up embedded test xtts
    export CODEVOICE_MODELS="${CODEVOICE_MODELS:-$TOOLS/models}"
    for model in hibari whisper-tiny.en kokoro kokoro-ja; do
      "$VENV/bin/codevoice" models add "$model" >&2 || say "going on without the tests of $model"
    done
    ;;
esac

cd "$ROOT"
left_out=.pytest_cache/left-out.txt # written by tests/conftest.py
rm -f "$left_out"
cores=$(nproc)
status=0
.venv/bin/pytest -n "$((cores < 3 ? cores + 1 : 4))" --dist loadfile "$@" || status=$?
if [ -f "$left_out" ]; then cat "$left_out"; fi
exit "$status"
