#!/usr/bin/env bash
# Restarts the appliance, as compose service or as systemd unit, and waits until it is well again.
#   scripts/restart.sh
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
if command -v docker >/dev/null && (cd "$here" && docker compose ps --services 2>/dev/null | grep -qx mail); then
	(cd "$here" && docker compose restart mail)
elif command -v systemctl >/dev/null && systemctl cat dinkymail.service >/dev/null 2>&1; then
	systemctl restart dinkymail.service
else
	echo "neither a compose service nor a systemd unit runs here: restart dinkymail the way it was started" >&2
	exit 1
fi
for _ in {1..30}; do
	if "$here/scripts/dinkymail" health >/dev/null 2>&1; then
		exit 0
	fi
	sleep 1
done
"$here/scripts/dinkymail" doctor >&2 || true
echo "the appliance was restarted and is not well after 30 seconds; its log says why" >&2
exit 1
