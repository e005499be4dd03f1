#!/usr/bin/env bash
# Runs the end-to-end tests. Each file has a rack in a network of its own, and two cores are enough for three machines:
# the file with one machine begins when the first of the other's three is ready.
# With arguments it is one pytest with these.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
run() { python -m pytest -m e2e -s -v "$@"; }
if [ $# -gt 0 ]; then
    run tests/e2e "$@"
    exit
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run tests/e2e/test_three_machines.py >"$log" 2>&1 &
three=$!
tail -f -n +1 --pid="$three" "$log" &
until grep -q '^one ready' "$log" || ! kill -0 "$three" 2>/dev/null; do sleep 5; done
other=$(run tests/e2e/test_ipv6_only.py 2>&1)
status=$?
wait "$three" || status=$?
wait
echo "$other"
exit "$status"
