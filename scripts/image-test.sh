#!/usr/bin/env bash
# Builds the container image, runs it with podman, and tries what matters: it is well by its own health check, takes mail, does
# not run as root, needs no right but its data volume, and still has the mail after the container was replaced.
#   scripts/image-test.sh
# Needs root, buildah, podman and runc. The network is the machine's own, with every door on a loopback port.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=localhost/dinkymail-test
name=dinkymail-test-$$
volume=$name-data
pm() { podman --storage-driver vfs --runtime runc --cgroup-manager cgroupfs "$@"; }
cleanup() {
	status=$?
	if [ "$status" -ne 0 ]; then pm logs "$name" 2>&1 | tail -20 || true; fi
	pm rm -f -t 5 "$name" >/dev/null 2>&1 || true
	pm volume rm -f "$volume" >/dev/null 2>&1 || true
	pm rmi -f "$tag" >/dev/null 2>&1 || true
	exit "$status"
}
trap cleanup EXIT

VERSION=1.2.3-test scripts/image.sh "$tag"
read -r http smtp < <(python3 -c 'import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[x.getsockname()[1] for x in s])')

# Limits are given because this program may run where they cannot be raised; the health check is asked for by hand because its
# timer would be systemd's.
start() {
	pm run --detach --name "$name" --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
		--ulimit nofile=4096:4096 --ulimit nproc=1024:1024 --no-healthcheck --volume "$volume:/data" \
		--env ENVIRONMENT=development --env "HTTP_LISTEN=127.0.0.1:$http" --env "SMTP_LISTEN=127.0.0.1:$smtp" "$tag" >/dev/null
	for _ in {1..50}; do
		if pm exec "$name" /dinkymail health >/dev/null 2>&1; then return; fi
		sleep 0.2
	done
	echo "the container is not well after ten seconds" >&2
	return 1
}
captured() { curl -fsS "http://127.0.0.1:$http/captured" | grep -c "$1" || true; }

start
pm exec "$name" /dinkymail health
version=$(pm exec "$name" /dinkymail version)
[ "$version" = "dinkymail 1.2.3-test" ]
health=$(buildah --storage-driver vfs inspect --type image --format '{{.Docker.Config.Healthcheck.Test}}' "$tag")
[ "$health" = "[CMD /dinkymail health]" ]
pid=$(pm inspect --format '{{.State.Pid}}' "$name")
uid=$(awk '/^Uid:/ {print $2}' "/proc/$pid/status")
[ "$uid" = 65532 ]
curl -fsS "http://127.0.0.1:$http/send" -d '{"to":"you@example.com","subject":"from the container","body":"hello"}' | grep -q '"success":true'
[ "$(captured 'from the container')" -gt 0 ]
pm stop -t 20 "$name" >/dev/null
code=$(pm inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ]
pm rm "$name" >/dev/null
start
[ "$(captured 'from the container')" -gt 0 ]
echo "container: built, well, uid $uid, mail taken and kept across containers, ended with status $code"
