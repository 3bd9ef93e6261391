#!/usr/bin/env bash
# Measures Dinkymail against a tuned Postfix on this machine and prints the table of docs/performance.md.
# Needs root and Debian's postfix; see internal/bench for what is promised.
#   scripts/bench.sh [-short] [-rounds N] [-o FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
BENCH_COMMAND=${BENCH_COMMAND:-"scripts/bench.sh $*"} exec go run ./internal/bench "$@"
