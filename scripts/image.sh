#!/usr/bin/env bash
# Builds the container image without an engine and without a registry: the binary is compiled here, and the final stage of the
# Dockerfile, which starts from nothing, is built with buildah from the same lines that `docker build` would use.
#   scripts/image.sh [TAG]        TAG is localhost/dinkymail if not given
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-localhost/dinkymail}
version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo unknown)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.version=$version" -o "$work/rootfs/dinkymail" .
mkdir -p "$work/rootfs/etc/ssl/certs" "$work/owned/data"
cp /etc/ssl/certs/ca-certificates.crt "$work/rootfs/etc/ssl/certs/"
# What stands before the final stage is done above; its files are in the context instead of in a stage.
sed -n '/^FROM scratch/,$p' Dockerfile | sed 's/--from=build //' >"$work/Dockerfile"
grep -q '^COPY /rootfs/ /$' "$work/Dockerfile"
buildah --storage-driver vfs build --isolation chroot --format docker --file "$work/Dockerfile" --tag "$tag" "$work"
buildah --storage-driver vfs images "$tag"
