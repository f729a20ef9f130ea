#!/bin/sh
# Makes a base image from Debian's packages, for a machine that cannot pull the pinned one.
#   usage: docker/stand-in-base.sh [NAME]     then: harness images build cpu --base NAME
# Needs root, mmdebstrap and a running engine. An image of that name is left as it is.
set -eu
name=${1:-harness/stand-in-base:bookworm}
if docker image inspect "$name" >/dev/null 2>&1; then
    echo "$name is there already"
    exit 0
fi
command -v mmdebstrap >/dev/null || { echo "needs mmdebstrap: apt-get install mmdebstrap" >&2; exit 3; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base.tar"
docker import --change 'LABEL harness.stand-in=debian-bookworm' "$work/base.tar" "$name" >/dev/null
echo "made $name"
