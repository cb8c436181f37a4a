#!/usr/bin/env bash
# Reads the OpenAPI document of a running service with other people's tools, each in an environment of its own:
# Redocly's linter, openapi-typescript and openapi-python-client, whose client then speaks a sentence.
# Needs npm and a package registry.
#
# bash ops/openapi_tools.sh URL API_KEY
set -euo pipefail

url="${1:?the URL of the service}" key="${2:?an API key}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

curl -fsS "$url/openapi.json" -o "$work/openapi.json"

cd "$work"
npm --silent init -y >/dev/null
npm --silent install @redocly/cli openapi-typescript typescript@5 >/dev/null 2>&1

npx redocly lint --format=json openapi.json >lint.json 2>/dev/null || true
python3 - <<'CHECK'
import json
totals = json.load(open("lint.json"))["totals"]
print(f"redocly: {totals['errors']} errors, {totals['warnings']} warnings")
assert totals["errors"] == totals["warnings"] == 0
CHECK

npx openapi-typescript openapi.json -o api.d.ts >/dev/null
grep -q '"audio/mpeg": string' api.d.ts
echo "openapi-typescript: audio has a type"

python3 -m venv generator
generator/bin/pip --quiet --disable-pip-version-check install openapi-python-client ruff
PATH="$work/generator/bin:$PATH" openapi-python-client generate --path openapi.json --output-path client --fail-on-warning
files="$(find client -type f -name '*.py' | wc -l)"
echo "openapi-python-client: $files files"
[ "$files" -le 400 ]

URL="$url" KEY="$key" PYTHONPATH=client generator/bin/python - <<'SPEAK'
import os
from code_voice_client import AuthenticatedClient
from code_voice_client.api.open_ai.v1_audio_speech_openai_speech import sync
from code_voice_client.models import OpenAISpeechBody
from code_voice_client.types import File

client = AuthenticatedClient(base_url=os.environ["URL"], token=os.environ["KEY"], auth_header_name="X-API-Key", prefix="")
body = OpenAISpeechBody(input_="A generated client speaks.", voice="alloy", response_format="wav")
audio = sync(client=client, body=body)
assert isinstance(audio, File), audio
content = audio.payload.read()
assert content[:4] == b"RIFF", content[:40]
print(f"openapi-python-client: sync() returned {len(content)} bytes of audio")
SPEAK
