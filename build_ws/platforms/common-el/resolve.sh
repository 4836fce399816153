#!/bin/bash
# Prints what the platform is made from: the revision of every repository that serves it.
# A repository's revision changes with its content, so it stands for its packages.
set -euo pipefail

revision() {
    local name=$1 url=$2
    printf '%s ' "$name"
    curl --fail --silent --show-error --location --retry 3 "$url/repodata/repomd.xml" | sha256sum | cut --delimiter=' ' --fields=1
}

arch=$(uname --machine)
for name in BaseOS AppStream "$ITB_CRB_FOLDER"; do
    revision "$name" "$ITB_MIRROR/$ITB_EL/$name/$arch/os"
done
revision epel "https://dl.fedoraproject.org/pub/epel/$ITB_EL/Everything/$arch"
revision osg "https://repo.osg-htc.org/osg/$ITB_OSG-main/el$ITB_EL/release/$arch"
