# shellcheck shell=bash
# Sourced: installs from the repository that was just made.

install_packages() {
    dnf --quiet --assumeyes --repofrompath=made,file:///mnt/platform --repo=made --nogpgcheck install "$@"
    dnf --quiet clean all
    rm -rf /var/log/dnf* /var/log/hawkey.log /var/cache/dnf /tmp/*
}
