#!/usr/bin/env bash
# Our XTTS on a GPU machine without a package registry, on random weights: one command, ten minutes at most.
#
#   bash ops/bench/xtts_device.sh wheels WHEELS       with a registry: fetch what that machine lacks (17 MB)
#   bash ops/bench/xtts_device.sh run WHEELS RESULTS  there: RESULTS/xtts.json, and its output in RESULTS/xtts.log
#   … run WHEELS RESULTS --size tiny --seconds 1      a rehearsal of every step, on any CPU
#
# The machine must have Python 3.12 and, for it, what a PyTorch machine usually has: torch >= 2.11, tokenizers
# 0.23, huggingface_hub >= 1.31, safetensors, einops, fsspec, lazy_loader, matplotlib, msgpack, numba, psutil,
# regex, six, scikit-learn, scipy, tensorboard, typer. Its own transformers is not used: 5.17 fails if
# torchcodec is a stand-in (workers/xtts/audio.py). PYTHON names an interpreter other than python3; THERE a
# version other than 3.12.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
PYTHON="${PYTHON:-python3}"
THERE="${THERE:-3.12}"
SECONDS_MAX=590
PACKAGES=(
  anyascii==0.3.3 audioread==3.1.0 cffi==2.1.1 coqpit-config==0.2.5 coqui-tts==0.28.0 coqui-tts-trainer==0.4.0
  decorator==5.3.1 inflect==7.6.0 jaraco.functools==4.6.0 ko-speech-tools==0.1.0 librosa==0.11.0
  monotonic-alignment-search==0.2.1 more-itertools==11.2.1 num2words==0.5.14 platformdirs==4.14.9 pooch==1.9.0
  pycparser==3.12 pysbd==0.3.4 soundfile==0.14.0 soxr==1.1.0 transformers==5.23.0 typeguard==4.6.1
)

wheels() {
  local platform platforms=()
  for platform in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do
    platforms+=(--platform "${platform}_x86_64")
  done
  "$PYTHON" -m pip download -q --no-deps --only-binary=:all: --python-version "$THERE" --implementation cp \
    "${platforms[@]}" -d "$1" "${PACKAGES[@]}"
}

run() {
  local wheels="$1" results="$2" site wheel
  shift 2
  mkdir -p "$results"
  site="$(mktemp -d)"
  # shellcheck disable=SC2064  # the current folder's value
  trap "rm -rf '$site'" EXIT
  for wheel in "$wheels"/*.whl; do
    if [ -e "$wheel" ]; then "$PYTHON" -m zipfile -e "$wheel" "$site"; fi
  done
  {
    "$PYTHON" --version
    PYTHONPATH="$site" "$PYTHON" -c 'import torch, transformers; print("torch", torch.__version__, torch.version.cuda,
      "transformers", transformers.__version__)'
    nvidia-smi -L || echo "no GPU: a rehearsal on the CPU"
    PYTHONPATH="$site" timeout "$SECONDS_MAX" "$PYTHON" "$ROOT/ops/bench/xtts.py" --json --seconds 400 "$@" \
      >"$results/xtts.json"
  } > >(tee "$results/xtts.log") 2>&1
}

case "${1:-}" in
  wheels | run) "$@" ;;
  *) sed -n '2,/^set/{/^#/p}' "$0" >&2 && exit 2 ;;
esac
