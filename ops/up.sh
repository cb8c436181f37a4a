#!/usr/bin/env bash
# Runs the whole of CodeVoice on this machine: sets up `.venv`, then becomes `codevoice up` with the given
# arguments. The set-up prints to stderr only, since stdout belongs to `codevoice up --json`.
# If XTTS is named (`--engines espeak,xtts`, or CODEVOICE_ENGINES), its packages are installed too. `--small`
# fetches no models in the background.
set -euo pipefail

# shellcheck source=ops/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
extras=(embedded)
case "$* ${CODEVOICE_ENGINES:-}" in *xtts*) extras+=(xtts) ;; esac
set_up "${extras[@]}"
exec "$VENV/bin/codevoice" up "$@"
