#!/bin/bash
# A minimal Enterprise Linux with systemd and the repositories OSG's documentation
# asks for: EPEL, CRB (PowerTools on EL 8), OSG; HTCondor's own only if a series is set.
set -euo pipefail

# Containers of EL come without what a machine's installation always has; passwd is a package of its own or not.
dnf --assumeyes --quiet install systemd dbus hostname iproute procps-ng openssl /usr/bin/passwd findutils tar gzip xz less \
    which util-linux shadow-utils ca-certificates python3 dnf-plugins-core epel-release
dnf --assumeyes --quiet config-manager --set-enabled "$ITB_CRB"

# A package that brings a repository with its keys, which nothing but its way here vouches for: https all along.
install_release() {
    local file=/tmp/release.rpm
    curl --fail --silent --show-error --location --retry 3 --proto =https --proto-redir =https --output "$file" "$1"
    dnf --assumeyes --quiet install "$file"
}
install_release "https://repo.osg-htc.org/osg/$ITB_OSG-main/osg-$ITB_OSG-main-el$ITB_EL-release-latest.rpm"
# OSG's repositories have priority 98; EPEL must come after them.
dnf --assumeyes --quiet config-manager --save --setopt='epel.priority=99'
if [ -n "$ITB_HTCONDOR" ]; then
    install_release \
        "https://htcss-downloads.chtc.wisc.edu/repo/$ITB_HTCONDOR/htcondor-release-current.el$ITB_EL.noarch.rpm"
    dnf --assumeyes --quiet config-manager --save --setopt='htcondor.priority=90'
fi
dnf --assumeyes --quiet config-manager --save --setopt=install_weak_deps=False
dnf --assumeyes --quiet upgrade

# Container images install without documentation and mask units; hosts of a testbed behave as machines do.
systemctl set-default multi-user.target >/dev/null
systemctl mask --quiet systemd-firstboot.service getty.target console-getty.service
systemctl disable --quiet dnf-makecache.timer 2>/dev/null || :
# Every host gets an id of its own; an old one of D-Bus would be taken for it.
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id

dnf --quiet clean all
rm -rf /var/cache/dnf /var/log/dnf* /var/log/hawkey.log /tmp/*
