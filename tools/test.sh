#!/usr/bin/env bash
# Runs all tests but the end-to-end ones: what starts no daemon in three processes at once (on two cores, for some wait),
# then what needs the computer for itself. Each run prints pytest's closing line. Arguments go to both (`-k name`); a name
# may be in one of them only.
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1
none=0
[ $# = 0 ] || none=5 # pytest's status when nothing was selected, which only a choice of tests may leave

python -m pytest -n 3 --dist loadfile -m 'not daemons and not e2e' "$@"
shared=$?
python -m pytest -m 'daemons and not e2e' --durations=25 "$@"
alone=$?
for status in $shared $alone; do
    [ "$status" = 0 ] || [ "$status" = $none ] || exit "$status"
done
[ "$shared" = 0 ] || [ "$alone" = 0 ] || exit "$none"
