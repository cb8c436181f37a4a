#!/usr/bin/env bash
# How the clips beside this were made: with Debian's package `flite` (2.2). Each line of clips.tsv is a name, a
# voice of flite's and what is said. Voices rms and kal16 speak at 16 kHz.
set -euo pipefail
cd "$(dirname "$0")"
while IFS=$'\t' read -r name voice text; do
  flite -voice "$voice" -t "$text" -o "$name.wav"
done <clips.tsv
