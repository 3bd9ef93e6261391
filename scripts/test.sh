#!/usr/bin/env bash
# Is the appliance well? Checks its settings and asks it for its health.
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
exec "$here/dinkymail" health
