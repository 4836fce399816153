#!/bin/bash
# The build workspace: what a ReleaseManager needs to make RPMs.
set -euo pipefail

dnf --assumeyes --quiet install rpm-build redhat-rpm-config python3-devel systemd-rpm-macros dnf-plugins-core \
    createrepo_c git rsync make patch python3-distro python3-pyyaml
dnf --quiet clean all
rm -rf /var/cache/dnf /var/log/dnf* /var/log/hawkey.log /tmp/*
