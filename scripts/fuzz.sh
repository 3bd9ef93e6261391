#!/usr/bin/env bash
# Runs the fuzz targets of packages for a while, one after the other, and says which found something.
#   scripts/fuzz.sh [TIME [PACKAGE...]]      TIME per target, 5s if not given; all packages if none is
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-5s}
shift || true
[ "$#" -gt 0 ] || set -- ./...
count=0
finds=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz runs one target. When the time is up in the middle of an input, Go's fuzzer fails with nothing but "context deadline
# exceeded": that is no find. It may take no more than a second to make an input smaller: else most of the time goes into that, and
# into inputs that are no finds.
fuzz() {
	local package=$1 target=$2
	if go test -run='^$' -fuzz="^$target\$" -fuzztime="$time" -fuzzminimizetime=1s "$package" >"$log" 2>&1; then
		grep elapsed "$log" | tail -1
	elif grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input written|panic:|\.go:[0-9]+:' "$log"; then
		echo "stopped in the middle of an input"
	else
		tail -100 "$log"
		return 1
	fi
}

while read -r package dir; do
	targets=$(grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go 2>/dev/null | sed 's/^func //' || true)
	for target in $targets; do
		echo "fuzz $package $target for $time"
		fuzz "$package" "$target" || finds+=("$package $target")
		count=$((count + 1))
	done
done < <(go list -f '{{.ImportPath}} {{.Dir}}' "$@")
echo "$count fuzz targets, ${#finds[@]} with a find"
if [ "${#finds[@]}" -gt 0 ]; then
	printf '  %s\n' "${finds[@]}"
	exit 1
fi
[ "$count" -gt 0 ] || [ "$*" != ./... ]
