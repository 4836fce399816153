#!/bin/bash
# The build workspace: what a ReleaseManager needs to make RPMs.
set -euo pipefail

# shellcheck source=/dev/null
. /mnt/definition/dnf.sh
install_packages rpm-build python3-devel systemd-rpm-macros dnf-plugins-core createrepo_c git rsync \
    python3-distro python3-systemd python3-yaml

# GlideinWMS's ReleaseManager builds on Red Hat's family only; see build.env in platform.yaml.
mkdir -p /usr/share/itb/el-names
cat >/usr/share/itb/el-names/os-release <<'END'
NAME="Red Hat Enterprise Linux"
VERSION="9.0"
ID="rhel"
ID_LIKE="fedora"
VERSION_ID="9.0"
END
