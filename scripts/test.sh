#!/usr/bin/env bash
# Is the appliance well? Checks its settings, prints what the doctor finds, and asks it for its health, which is the exit status.
#   scripts/test.sh [--restart-mail]      --restart-mail restarts it first (compose service or systemd unit)
set -euo pipefail
here=$(dirname "$0")
case "${1:-}" in
--restart-mail) "$here/restart.sh" ;;
"") ;;
*)
	echo "usage: $0 [--restart-mail]" >&2
	exit 64
	;;
esac
"$here/dinkymail" config check
"$here/dinkymail" doctor || true # an upstream that is away does not make the appliance unwell: mail waits
exec "$here/dinkymail" health
