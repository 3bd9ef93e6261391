#!/usr/bin/env bash
# Prepares a new installation: writes .env from the documented settings, readable by its owner alone, and says what to fill in.
# An existing .env is left as it is.
#   scripts/initialize.sh
set -euo pipefail
exec "$(dirname "$0")/dinkymail" init "$@"
