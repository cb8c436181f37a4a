# shellcheck shell=bash
# Makes the virtual environment `.venv` of this checkout, or updates it. Sourced, not run: the sourcing script
# calls `set_up EXTRA…`, then finds everything under "$VENV/bin".
#
# It asks no questions; prints to stderr only; announces its downloads first; takes milliseconds when nothing
# is to do; may be interrupted, or run twice at the same time. Needs Python >= 3.11 with pip, root or not.
#
# uv does the work if its wheel installs, since it is about ten times faster than pip; otherwise pip.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
VENV="$ROOT/.venv"
TOOLS="$ROOT/.tools"            # uv or virtualenv, the lock, and uv's cache if there is no home
STAMP="$VENV/codevoice-set-up"  # line 1: what .venv was made of; line 2: its extras
UNFINISHED="$TOOLS/unfinished"  # exists while .venv is being changed

# set_up EXTRA…: .venv holds the project with at least these extras. Extras accumulate from run to run.
set_up() {
  if up_to_date "$@"; then return; fi
  mkdir -p "$TOOLS"
  wait_for_turn
  if ! up_to_date "$@"; then renew "$@" >&2; fi
  exec 9>&- # else the lock would last as long as the program that we exec
}

up_to_date() {
  local made_of extras extra
  if [ -e "$UNFINISHED" ] || [ ! -f "$STAMP" ]; then return 1; fi
  { read -r made_of && read -r extras; } <"$STAMP" || return 1
  if [ "$made_of" != "$(fingerprint)" ]; then return 1; fi
  for extra in "$@"; do
    case ",$extras," in *",$extra,"*) ;; *) return 1 ;; esac
  done
}

# The folder is part of it, because scripts in .venv name it; so is the interpreter, because an upgrade of the
# system's Python leaves .venv without its libraries.
fingerprint() {
  { echo "$ROOT" && "$VENV/bin/python" -V && cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt"; } 2>/dev/null |
    sha256sum | cut -d' ' -f1
}

wait_for_turn() {
  exec 9>"$TOOLS/lock"
  if ! command -v flock >/dev/null || flock --nonblock 9; then return; fi
  say "waiting for another set-up of this folder"
  flock 9
}

renew() {
  local extras
  extras="$(with_extras_so_far "$@")"
  choose_python
  announce "$extras"
  if [ -e "$UNFINISHED" ] || ! works "$VENV/bin/python"; then rm -rf "$VENV"; fi
  : >"$UNFINISHED"
  rm -f "$STAMP"
  if ! with_uv "$extras"; then
    say "uv did not manage it: going on with pip, which takes longer"
    with_pip "$extras" || fail "the packages could not be installed; the lines above say why"
  fi
  printf '%s\n%s\n' "$(fingerprint)" "$extras" >"$STAMP"
  rm -f "$UNFINISHED"
}

with_extras_so_far() {
  local so_far=""
  if [ -f "$STAMP" ]; then so_far="$(sed -n '2p' "$STAMP")"; fi
  # shellcheck disable=SC2086
  printf '%s\n' "$@" ${so_far//,/ } | sort -u | paste -sd, -
}

choose_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
    if works "$candidate" && "$candidate" -c 'import pip' 2>/dev/null; then
      PYTHON_CHOSEN="$candidate"
      return
    fi
    if [ "$candidate" = "${PYTHON:-}" ]; then fail "PYTHON=$PYTHON is not Python 3.11 or newer with pip"; fi
  done
  fail "needs Python 3.11 or newer with pip (on Debian: apt-get install python3-pip), or PYTHON=/path/to/one"
}

works() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# Sizes are those of the wheels for x86-64, measured; the first figure includes uv's own 20 MB. PyTorch for
# the CPU has 205 MB with its dependencies; for NVIDIA GPUs, with CUDA's libraries, 2,730.
announce() {
  local megabytes=25 extra
  for extra in ${1//,/ }; do
    case "$extra" in
      embedded) megabytes=$((megabytes + 223)) ;;
      test) megabytes=$((megabytes + 89)) ;;
      xtts) if gpu_seen; then megabytes=$((megabytes + 2930)); else megabytes=$((megabytes + 400)); fi ;;
      whisper | voice) ;; # in embedded
      dev) megabytes=$((megabytes + 88)) ;;
      *) megabytes=$((megabytes + 1000)) ;;
    esac
  done
  say "setting up .venv with [$1]: downloads at most about $megabytes MB of Python packages (less what is cached)"
}

gpu_seen() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q '^GPU'; }

with_uv() {
  local uv="$TOOLS/bin/uv" backend
  if [ ! -x "$uv" ]; then pip_to_tools 'uv>=0.7' || return 1; fi
  (
    uv_settings
    cd "$ROOT" || exit 1
    if [ ! -d "$VENV" ]; then "$uv" venv -q --python "$(interpreter)" "$VENV" || exit 1; fi
    backend="$(torch_backend "$1")"
    if [ -n "$backend" ]; then
      if uv_install "$1" --torch-backend "$backend"; then exit; fi
      say "PyTorch's own index did not do: going on with PyPI's build, for NVIDIA GPUs, of 2700 MB"
    fi
    uv_install "$1"
  )
}

# uv_install EXTRAS OPTION…
uv_install() { "$uv" pip install -q --python "$VENV/bin/python" -c constraints.txt "${@:2}" -e ".[$1]"; }

# Which of PyTorch's builds to take from its own index: the one for the detected GPU, else the one for the
# CPU, since PyPI's includes CUDA. None if PyTorch is not needed, or if the package configuration (an index,
# find-links, UV_TORCH_BACKEND) has a CPU build already.
torch_backend() {
  local pin
  case ",$1," in *,xtts,*) ;; *) return ;; esac
  if [ -n "${UV_TORCH_BACKEND:-}" ]; then return; fi
  if gpu_seen; then echo auto && return; fi
  pin="$(grep '^torch==' constraints.txt)"
  case "$("$uv" pip compile -q --no-deps --no-header --no-annotate --python "$VENV/bin/python" - <<<"$pin")" in
    *+cpu*) ;;
    *) echo cpu ;;
  esac
}

# The interpreter itself, since a launcher (pyenv's) may choose another one in another folder.
interpreter() { "$PYTHON_CHOSEN" -c 'import sys; print(sys.executable)'; }

# pip's configuration applies to uv too, which does not read it.
uv_settings() {
  local config
  config="$("$PYTHON_CHOSEN" -m pip config list 2>/dev/null || true)"
  pass_on UV_DEFAULT_INDEX "$(pip_setting index-url)"
  pass_on UV_EXTRA_INDEX_URL "$(pip_setting extra-index-url)"
  pass_on UV_FIND_LINKS "$(pip_setting find-links | tr ' ' ',')"
  pass_on UV_INSECURE_HOST "$(pip_setting trusted-host)"
  pass_on UV_NO_INDEX "$(pip_setting no-index)"
  pass_on SSL_CERT_FILE "$(pip_setting cert)"
  # pip takes the best version of all indexes; uv by default stops at the first index that has the package.
  pass_on UV_INDEX_STRATEGY unsafe-best-match
  pass_on UV_PYTHON_DOWNLOADS never
  if ! cache_is_writable; then export UV_CACHE_DIR="$TOOLS/cache"; fi
  # If Python may not store what it compiles, each start would compile everything again.
  if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then pass_on UV_COMPILE_BYTECODE 1; fi
  # Links cannot cross file systems, and uv would print a long warning.
  if [ -n "${UV_CACHE_DIR:-}" ] || ! same_file_system; then pass_on UV_LINK_MODE copy; fi
}

# pip_setting NAME: pip's own value, several separated by spaces. `pip config list` prints them as Python
# would, the environment's after the files'.
pip_setting() {
  sed -n -E "s/^(global|install|:env:)\.$1=['\"](.*)['\"]\$/\2/p" <<<"$config" |
    tail -n 1 | sed -E 's/\\n/ /g; s/^ +//; s/ +$//; s/ +/ /g'
}

pass_on() { if [ -n "$2" ] && [ -z "${!1:-}" ]; then export "$1=$2"; fi; }

cache_folder() { echo "${UV_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/uv}"; }

cache_is_writable() {
  mkdir -p "$(cache_folder)" 2>/dev/null && [ -w "$(cache_folder)" ]
}

same_file_system() { [ "$(stat -c %d "$(cache_folder)")" = "$(stat -c %d "$ROOT")" ]; }

with_pip() {
  # An environment that uv made has no pip of its own.
  if ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
    rm -rf "$VENV"
    make_venv || return 1
  fi
  case ",$1," in
    *,xtts,*) say "pip knows no builds of PyTorch: unless its index has one for the CPU, 2700 MB come from PyPI" ;;
  esac
  (cd "$ROOT" && PIP_USER=0 "$VENV/bin/python" -m pip install -qq --disable-pip-version-check \
    -c constraints.txt -e ".[$1]")
}

# Debian ships venv without ensurepip, and then leaves half an environment behind.
make_venv() {
  if "$PYTHON_CHOSEN" -c 'import ensurepip, venv' 2>/dev/null; then
    "$PYTHON_CHOSEN" -m venv "$VENV"
  else
    pip_to_tools virtualenv && PYTHONPATH="$TOOLS" "$PYTHON_CHOSEN" -m virtualenv -q "$VENV"
  fi
}

# --target is allowed where the system's packages are externally managed (PEP 668).
pip_to_tools() {
  PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 "$PYTHON_CHOSEN" -m pip install -qq --disable-pip-version-check \
    --upgrade --target "$TOOLS" "$1"
}

say() { echo "codevoice: $*" >&2; }

fail() {
  say "$*"
  exit 1
}
