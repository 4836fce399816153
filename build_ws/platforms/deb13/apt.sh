# shellcheck shell=bash
# Sourced: points apt at the configured mirror; "refresh" reads its index.

export DEBIAN_FRONTEND=noninteractive
export LC_ALL=C.UTF-8

apt_sources() {
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
}

refresh() {
    apt_sources
    apt-get update --quiet --quiet --option Acquire::Languages=none --option Acquire::Retries=3 \
        --error-on=any
}

packages_of() {
    sed 's/#.*//' "$@" | tr --squeeze-repeats ' \n' '\n' | grep .
}
