# Recipes for people and CI. Each runs in the checkout's own .venv (made by ops/up.sh and ops/test.sh).

bin := justfile_directory() / ".venv/bin"

# list the recipes
default:
    @{{bin}}/just --list --justfile "{{justfile()}}"

# set up and run CodeVoice on this machine
up *args:
    bash ops/up.sh {{args}}

# set up and run all tests
test *args:
    bash ops/test.sh {{args}}

# style, format, types and the import rules
lint:
    {{bin}}/ruff check .
    {{bin}}/ruff format --check .
    {{bin}}/basedpyright
    {{bin}}/lint-imports

# reformat the code
format:
    {{bin}}/ruff check --fix .
    {{bin}}/ruff format .

# everything CI runs
check: lint test

# send at least so many generated requests to a stack of its own, by its OpenAPI document (100,000: an hour)
fuzz cases="100000":
    {{bin}}/python -m tests.fuzz {{cases}}

# fuzz a target (wav, guard, split) with random bytes for so many seconds
fuzz-bytes target seconds="60":
    {{bin}}/python -m tests.fuzz.random_bytes {{target}} {{seconds}}

# speak so many generated texts of every shape, script and length, and report the results (100,000: two hours)
generated cases="100000" *args:
    {{bin}}/python -m tests.generated {{cases}} {{args}}

# migrate the database of the running stack, or of CODEVOICE_DATABASE_OWNER_URL, to this version
migrate:
    {{bin}}/codevoice migrate

# run one benchmark against the running stack
bench name *args:
    {{bin}}/codevoice bench {{name}} {{args}}

# install the speech quality models for `codevoice bench voices` into an environment of its own, .judges
judges:
    bash ops/judges.sh

# audit the ledger of the running stack
ledger:
    {{bin}}/codevoice ledger audit

# code, secrets in the history, advisories, and a list of all dependencies (dist/sbom.cdx.json)
audit:
    bash -c '. ops/setup.sh && set_up audit'
    {{bin}}/python -m ops.safety

# install what lint and this file need
dev:
    bash -c '. ops/setup.sh && set_up dev'

# pin the newest allowed versions
constraints:
    #!/usr/bin/env bash
    set -euo pipefail
    {{bin}}/python -m pip --version >/dev/null 2>&1 || true
    new=$(uv pip compile -q --python-version 3.11 --all-extras --no-annotate --no-header --upgrade pyproject.toml)
    { head -1 constraints.txt; sed 's/+cpu$//' <<<"$new"; } > constraints.new
    mv constraints.new constraints.txt
