#!/bin/bash
# Downloads the resolved packages, converts them, adds the platform's own and indexes all.
set -euo pipefail

cd /mnt/definition
# shellcheck source=/dev/null
. ./apt.sh

rm -rf /mnt/debs /mnt/platform /mnt/converted # of a try that failed: what is half there would be converted
mkdir -p /mnt/debs /mnt/platform
(
    cd /mnt/debs
    # file names are NAME_VERSION_ARCH.deb with ":" of an epoch as %3a
    mapfile -t wanted < <(sed 's/ .*//; s/_\([^_]*\)_[^_]*\.deb$/=\1/; s/%3a/:/g' /mnt/resolved)
    apt-get download "${wanted[@]}"
) &
apt-get install --yes createrepo-c file
wait $!

PYTHONPATH=/mnt python3 -m debtorpm --overrides names.toml --out /mnt/platform --manifest /mnt/converted /mnt/debs/*.deb
rm -rf /mnt/debs

build() {
    rpmbuild -bb --quiet --define "_sourcedir $PWD/rpms" --define '_rpmdir /mnt/platform' \
        --define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' --define "_topdir /tmp/rpmbuild" \
        --define '_binary_payload w1.zstdio' --define '_buildhost itb' --define 'debug_package %{nil}' \
        --define '__os_install_post %{nil}' --define '_build_id_links none' "$1"
}
export -f build
# shellcheck disable=SC2016  # the inner shell expands it
printf '%s\0' rpms/*.spec | xargs --null --max-args=1 --max-procs="$(nproc)" bash -c 'build "$1"' bash
createrepo_c --quiet --workers "$(nproc)" --general-compress-type=gz --simple-md-filenames /mnt/platform
