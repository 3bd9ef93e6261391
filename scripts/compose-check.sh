#!/usr/bin/env bash
# Checks docker-compose.yml with docker-compose, and that what users of the stack rely on is in it: networks, volume, names,
# ports on loopback only, logs, health check, labels.
#   scripts/compose-check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp docker-compose.yml "$work/"
echo 'MAIL_DOMAIN=example.org' >"$work/.env"
(cd "$work" && docker-compose config) >"$work/config"
status=0
want() {
	if ! grep -qF -- "$1" "$work/config"; then
		echo "docker-compose config lacks: $1" >&2
		status=1
	fi
}
want '- 127.0.0.1:25:25/tcp'
want '- 127.0.0.1:587:587/tcp'
want '- 127.0.0.1:20001:20001/tcp'
want '- mail-server'
want '- mail-api'
want 'name: traefik_network'
want 'TRUSTED_PROXIES: 172.30.24.128/25'
want 'external: true'
want 'internal: true'
want '- mail-data:/data:rw'
want 'driver: json-file'
want 'max-size: 10m'
want "max-file: '3'"
want '- /dinkymail'
want '- health'
want 'traefik.enable: "true"'
# shellcheck disable=SC2016 # the backquotes are Traefik's
want 'traefik.http.routers.mail-api.rule: Host(`mail-api.local`)'
want 'traefik.http.routers.mail-api.entrypoints: https'
want 'traefik.http.routers.mail-api.tls: "true"'
want "traefik.http.services.mail-api.loadbalancer.server.port: '20001'"
if grep -E '^ *- (0\.0\.0\.0:)?[0-9]+:[0-9]+' "$work/config"; then
	echo "a port is published on every address" >&2
	status=1
fi
[ "$status" -eq 0 ] && echo "docker-compose.yml is as users of the stack know it"
exit "$status"
