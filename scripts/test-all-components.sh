#!/usr/bin/env bash
# Tests everything an operator can test from outside: settings, health, all that the doctor looks at (disk, doors, DNS, upstream),
# and with --mail a message to ADDRESS (DEFAULT_TO if none is given) that is followed until the upstream has taken it.
#   scripts/test-all-components.sh [--mail [ADDRESS]]
set -euo pipefail
here=$(dirname "$0")
if [ "${1:-}" != "" ] && [ "$1" != "--mail" ]; then
	echo "usage: $0 [--mail [ADDRESS]]" >&2
	exit 64
fi
failed=0
step() {
	local name=$1
	shift
	if "$@"; then echo "ok      $name"; else
		echo "FAILED  $name"
		failed=1
	fi
}
step "settings" "$here/dinkymail" config check
step "health" "$here/dinkymail" health
step "doctor" "$here/dinkymail" doctor
if [ "${1:-}" = "--mail" ]; then
	address=${2:-$("$here/dinkymail" config show 2>/dev/null | sed -n 's/^DEFAULT_TO .*[ <]\([^ <>]*@[^ <>]*\).*/\1/p')}
	if [ -z "$address" ]; then
		echo "to whom? give an ADDRESS, or set DEFAULT_TO" >&2
		exit 64
	fi
	step "mail" "$here/send-test-email.sh" "$address"
fi
exit "$failed"
