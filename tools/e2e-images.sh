#!/usr/bin/env bash
# Builds the images that `make e2e` boots, below one folder: as root, with the network. A second run takes seconds.
set -eu
root=$1
mkdir -p "$root/secrets" "$root/images" "$root/cache"
chmod 700 "$root/secrets"
cat >"$root/settings.yaml" <<END
secrets: $root/secrets
images:
  folder: $root/images
  cache: $root/cache
END
# Virtual machines need no firmware and few drivers: the small kernel boots three times as fast.
racksalt --settings "$root/settings.yaml" image build live --kernel cloud
racksalt --settings "$root/settings.yaml" image build os debian-12 --kernel cloud
