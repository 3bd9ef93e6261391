#!/usr/bin/env bash
# Checks deploy/dinkymail.service with systemd-analyze.
#   scripts/unit-check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The binary is not installed where it is checked.
sed -E 's#^(Exec[A-Za-z]+)=/usr/local/bin/dinkymail#\1=/bin/true#' deploy/dinkymail.service >"$work/dinkymail.service"
systemd-analyze verify "$work/dinkymail.service" 2>"$work/said" || true
if grep 'dinkymail' "$work/said"; then exit 1; fi
systemd-analyze security --offline=true "$work/dinkymail.service" | tail -1
