#!/bin/bash
# Makes the Debian of root.sh an RPM machine: its packages known to rpm, dnf set up, systemd as on EL.
set -euo pipefail

ln -sf bash /usr/bin/sh

# Every package dpkg knows must be there as an RPM of that very version.
declare -A rpm_of
while IFS=$'\t' read -r name version architecture file; do
    rpm_of[$name $version $architecture]=/mnt/platform/$file
done </mnt/converted
installed=()
while read -r package; do
    if [ -z "${rpm_of[$package]:-}" ]; then
        echo "no RPM of $package: the mirror changed while the platform was built, try again" >&2
        exit 1
    fi
    installed+=("${rpm_of[$package]}")
done < <(dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n')

own=(/mnt/platform/{debtorpm-support,deb13-release,ca-certificates-el}-*.rpm)
# First the real ones: their files are new.  The rest is there, so only the database learns of it.
rpm --install --nodeps "${own[@]}"
rpm --install --justdb --noscripts --notriggers "${installed[@]}"
# What dpkg compiled on the spot is the packages' own for rpm.
for package in "${installed[@]}"; do
    if [[ $(rpm --query --package --list "$package") == */dist-packages/*.pyc* ]]; then
        rpm2archive --nocompression - <"$package" |
            tar --extract --directory=/ --wildcards './usr/lib/python3/dist-packages/*.pyc'
    fi
done

cat >/etc/dnf/dnf.conf <<'END'
[main]
gpgcheck=1
installonly_limit=3
clean_requirements_on_remove=True
best=True
skip_if_unavailable=False
install_weak_deps=False
# As dnf of EL 8 and 9: any file of a package may be required, not only programs.
optional_metadata_types=filelists
END

# Debian enables what it installs; nothing of that is wanted on a host of a testbed.
find /etc/systemd/system -name '*.timer' -type l -delete
systemctl disable --quiet getty@tty1.service e2scrub_reap.service systemd-networkd.service 2>/dev/null || :
systemctl mask --quiet systemd-firstboot.service systemd-resolved.service
# Every host gets an id of its own; an old one of D-Bus would be taken for it.
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id

find /var/lib/apt/lists /var/cache/apt /var/log/apt -type f -delete
rm -rf /var/log/{dpkg.log,alternatives.log,bootstrap.log} /var/cache/debconf/*-old /tmp/*
# Packages come from dnf from now on; what Debian's public image brings for apt in containers goes too.
rm -f /etc/apt/sources.list /etc/apt/apt.conf.d/99{itb,mmdebstrap} /etc/apt/apt.conf.d/docker-* /etc/dpkg/dpkg.cfg.d/docker-* /usr/sbin/policy-rc.d
