#!/usr/bin/env bash
# Sends a test message and waits until the upstream has taken or refused it.
#   scripts/send-test-email.sh ADDRESS
set -euo pipefail
if [ $# -ne 1 ]; then
	echo "usage: $0 ADDRESS" >&2
	exit 64
fi
exec "$(dirname "$0")/dinkymail" send-test "$1" --wait
