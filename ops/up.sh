#!/usr/bin/env bash
# The whole of CodeVoice on this machine: sets up `.venv`, then becomes `codevoice up` with the
# arguments given. Set-up speaks on stderr only, since stdout belongs to `codevoice up --json`.
# An engine named (`--engines espeak,xtts`, or CODEVOICE_ENGINES) brings its packages; no other does.
set -euo pipefail

# shellcheck source=ops/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
extras=(embedded)
for engine in xtts whisper; do
  case "$* ${CODEVOICE_ENGINES:-}" in *"$engine"*) extras+=("$engine") ;; esac
done
set_up "${extras[@]}"
exec "$VENV/bin/codevoice" up "$@"
