#!/usr/bin/env bash
# Installs the programs that some tests need besides Python. As root, on Debian; says what is missing elsewhere.
set -eu
missing=$(python3 "$(dirname "$0")/../tests/support/needs.py")
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "missing: $missing; install them, or run this as root on Debian" >&2
    exit 1
fi
echo "installing $missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # one word for each package
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >/dev/null
