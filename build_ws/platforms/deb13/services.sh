#!/bin/bash
# The host that serves: web server, repository tools and the platform's packages.
set -euo pipefail

# shellcheck source=/dev/null
. /mnt/definition/dnf.sh
install_packages nginx createrepo_c rpm-sign gnupg2 jq rpmlint
rm -f /etc/nginx/sites-enabled/default
mkdir -p /srv/repo
cp -r /mnt/platform /srv/repo/platform
