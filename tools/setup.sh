#!/usr/bin/env bash
# Makes the environment with the pinned versions: setup.sh PYTHON FOLDER. One at a time: who comes second waits, and finds
# it made. One that was cut off in the middle is thrown away and made anew.
set -eu
cd "$(dirname "$0")/.."
python=$1 venv=$2
exec 9>"$venv.lock"
flock 9
if [ "$venv/.ready" -nt pyproject.toml ] && [ "$venv/.ready" -nt constraints.txt ]; then
    exit 0
fi
if [ -e "$venv/.begun" ]; then
    echo "An earlier set-up was cut off: making $venv anew"
    rm -rf "$venv"
fi
mkdir -p "$venv"
touch "$venv/.begun"
if [ ! -x "$venv/bin/python" ]; then
    echo "Making $venv with $python"
    "$python" -m venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
"$venv/bin/python" -m compileall -q racksalt graphql_api # each program starts the sooner, whoever runs it
touch "$venv/.ready"
rm "$venv/.begun"
