#!/bin/bash
# Debian with the packages of the bare image, still known to dpkg only.
set -euo pipefail

cd /mnt/definition
# shellcheck source=/dev/null
. ./apt.sh

# The files names.toml drops.
cat >/etc/dpkg/dpkg.cfg.d/itb-files <<'END'
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/info/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
END
find /usr/share/doc -mindepth 2 -not -type d -not -name copyright -delete
rm -rf /usr/share/{info,lintian,locale,man}
find /usr/share/doc -mindepth 1 -type d -empty -delete
# The image is committed whole or not at all: no need to sync every file.
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/itb-unsafe-io

mapfile -t wanted < <(packages_of bare.packages)
apt-get dist-upgrade --yes
apt-get install --yes "${wanted[@]}"
rm /etc/dpkg/dpkg.cfg.d/itb-unsafe-io
