#!/bin/bash
# The build workspace: what a ReleaseManager needs to make RPMs, with rpmbuild or with mock.
set -euo pipefail

dnf --assumeyes --quiet install rpm-build redhat-rpm-config python3-devel systemd-rpm-macros dnf-plugins-core \
    createrepo_c git rsync make patch gettext python3-distro python3-pyyaml mock
# Mock in a container: no containers of its own, neither podman's nor systemd's.
cat >/etc/mock/site-defaults.cfg <<'EOF'
config_opts['isolation'] = 'simple'
config_opts['use_bootstrap'] = False
EOF
dnf --quiet clean all
rm -rf /var/cache/dnf /var/log/dnf* /var/log/hawkey.log /tmp/*
