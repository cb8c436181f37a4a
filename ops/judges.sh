#!/usr/bin/env bash
# Makes `.judges`, the virtual environment of the speech quality models that `codevoice bench voices` uses:
# Whisper, DistillMOS and DNSMOS with their weights. Separate from `.venv`, so that the product's environment
# is unchanged.
#
# Announces its downloads first; prints to stderr only; takes milliseconds when nothing is to do.
set -euo pipefail

# shellcheck source=ops/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
JUDGES="$ROOT/.judges"
NEEDS=(torch librosa faster-whisper ctranslate2 onnxruntime more-itertools regex) # of constraints.txt

make_judges() {
  local uv="$TOOLS/bin/uv" backend
  say "setting up .judges: downloads at most about 490 MB of Python packages (less what is cached)"
  choose_python
  mkdir -p "$TOOLS"
  if [ ! -x "$uv" ]; then pip_to_tools 'uv>=0.7'; fi
  uv_settings
  rm -rf "$JUDGES"
  cd "$ROOT"
  "$uv" venv -q --python "$(interpreter)" "$JUDGES"
  backend="$(torch_backend xtts)"
  if [ -n "$backend" ]; then backend=cpu; fi # the build for GPUs is five times as large and not needed here
  "$uv" pip install -q --python "$JUDGES/bin/python" -c constraints.txt \
    ${backend:+--torch-backend "$backend"} "${NEEDS[@]}"
  "$uv" pip install -q --python "$JUDGES/bin/python" --no-deps --require-hashes -r ops/judges.txt
  made_of >"$JUDGES/codevoice-set-up"
}

made_of() { cat "$ROOT/constraints.txt" "$ROOT/ops/judges.txt" "$ROOT/ops/judges.sh" | sha256sum | cut -d' ' -f1; }

if [ "$(cat "$JUDGES/codevoice-set-up" 2>/dev/null)" != "$(made_of)" ]; then make_judges >&2; fi
say "the judges are in .judges"
