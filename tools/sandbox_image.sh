#!/bin/sh
# Makes a tarball of a small Debian with what a sandbox needs, for `docker import`: tools/sandbox_image.sh FILE [PACKAGE...]
# Needs root and debootstrap; takes about a minute. Nothing is left behind but FILE, and it appears whole or not at all.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 FILE [PACKAGE...]" >&2; exit 2; }
file=$1
shift
packages=$(printf '%s,' bash ca-certificates findutils git grep python3 "$@")
root=$(mktemp -d "${TMPDIR:-/var/tmp}/mcc-image-XXXXXX")
trap 'rm -rf --one-file-system -- "$root"' EXIT
# In a mount namespace of its own: what debootstrap mounts is gone when it ends, however it ends.
unshare --mount debootstrap --variant=minbase --include="${packages%,}" "${MCC_IMAGE_SUITE:-stable}" "$root/image" \
    "${MCC_IMAGE_MIRROR:-http://deb.debian.org/debian}" >"$root/log" 2>&1 || { tail -n 20 "$root/log" >&2; exit 1; }
tar -C "$root/image" --exclude=./var/cache/apt --exclude=./var/lib/apt/lists --exclude=./usr/share/doc \
    --exclude=./usr/share/man --exclude=./usr/share/locale -cf "$root/tar" .
mkdir -p -- "$(dirname -- "$file")"
mv -- "$root/tar" "$file.new"
mv -- "$file.new" "$file"
