#!/usr/bin/env bash
# Installs what `make e2e` needs besides Python. As root, on Debian; says what is missing elsewhere.
set -eu
declare -A package=(
    [qemu-system-x86_64]=qemu-system-x86 [dnsmasq]=dnsmasq-base [dig]=bind9-dnsutils [ip]=iproute2
    [ipmitool]=ipmitool [mmdebstrap]=mmdebstrap [mksquashfs]=squashfs-tools [zstd]=zstd
    [mke2fs]=e2fsprogs [depmod]=kmod [grub-mkstandalone]=grub-common
)
missing=()
for program in "${!package[@]}"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null 2>&1 || missing+=("${package[$program]}")
done
[ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || missing+=(ovmf)
ls /usr/lib/ipxe/qemu/efi-virtio.rom >/dev/null 2>&1 || missing+=(ipxe-qemu)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "missing: ${missing[*]}; install them, or run this as root on Debian" >&2
    exit 1
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null
