#!/usr/bin/env bash
# Installs the programs that some tests need besides Python, and fetches the kernel of a guest that is a switch.
# As root, on Debian; says what is missing elsewhere.
set -eu
missing=$(python3 "$(dirname "$0")/../tests/support/needs.py")
kernels=${XDG_CACHE_HOME:-$HOME/.cache}/racksalt-tests
if compgen -G "$kernels/linux-image-*" >/dev/null; then kernel=; else kernel=linux-image-cloud-amd64; fi
[ -n "$missing$kernel" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "missing: $missing $kernel; install them, or run this as root on Debian" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null
if [ -n "$missing" ]; then
    echo "installing $missing"
    # shellcheck disable=SC2086  # one word for each package
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
if [ -n "$kernel" ]; then
    echo "fetching $kernel"
    mkdir -p "$kernels"
    draft=$(mktemp -d "$kernels/.draft.XXXXXX")
    package=$(apt-cache depends "$kernel" | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    (cd "$draft" && apt-get download -qq "$package" >/dev/null && dpkg -x ./*.deb . && rm ./*.deb)
    mv "$draft" "$kernels/$package"
fi
