# shellcheck shell=bash
# Sourced: points apt at the configured mirror and at the volume of the build, where
# all stages find the index and nothing is left in an image.

export DEBIAN_FRONTEND=noninteractive
export LC_ALL=C.UTF-8

apt_settings() {
    local mirror=$ITB_MIRROR security=$ITB_SECURITY options=
    if [ -n "$ITB_DATE" ]; then
        mirror=http://snapshot.debian.org/archive/debian/$ITB_DATE
        security=http://snapshot.debian.org/archive/debian-security/$ITB_DATE
        options='[check-valid-until=no] '
    fi
    rm -f /etc/apt/sources.list.d/debian.sources
    cat >/etc/apt/sources.list <<END
deb $options$mirror $ITB_SUITE main
deb $options$mirror $ITB_SUITE-updates main
deb $options$security $ITB_SUITE-security main
END
    mkdir -p /mnt/apt/lists/partial /mnt/apt/archives/partial
    cat >/etc/apt/apt.conf.d/99itb <<END
Dir::State::lists "/mnt/apt/lists";
Dir::Cache "/mnt/apt";
Dir::Cache::archives "archives";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
quiet "2";
END
}

packages_of() {
    sed 's/#.*//' "$@" | tr --squeeze-repeats ' \n' '\n' | grep .
}

apt_settings
