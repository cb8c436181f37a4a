#!/usr/bin/env bash
# The whole of CodeVoice on this machine: sets up `.venv`, then becomes `codevoice up` with the
# arguments given. Set-up speaks on stderr only, since stdout belongs to `codevoice up --json`.
set -euo pipefail

# shellcheck source=ops/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
set_up embedded
exec "$VENV/bin/codevoice" up "$@"
