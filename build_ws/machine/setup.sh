#!/bin/bash
# Sets up what itb needs on this machine: system packages, then a virtual
# environment in .venv.  Does nothing that is done already; can be interrupted
# and repeated.  usage: setup.sh [EXTRA of pyproject.toml, such as dev]
set -euo pipefail

extra=${1:-}
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"

say() { echo "setup: $*" >&2; }

python_ok() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && python_ok "$name"; then
            echo "$name"
            return
        fi
    done
}

has_admin_program() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

# The programs itb runs, whatever package they come in.
missing() {
    local found=()
    if ! command -v podman >/dev/null && ! docker info >/dev/null 2>&1; then
        found+=(podman)
    fi
    command -v git >/dev/null || found+=(git)
    local python
    python=$(find_python)
    if [ -z "$python" ] || ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        found+=(python)
    fi
    if command -v podman >/dev/null && [ "$(uname -s)" = Linux ]; then
        command -v runc >/dev/null || command -v crun >/dev/null || found+=(runtime)
        [ -x /usr/lib/podman/netavark ] || [ -x /usr/libexec/podman/netavark ] || found+=(netavark)
        [ -x /usr/lib/podman/aardvark-dns ] || [ -x /usr/libexec/podman/aardvark-dns ] || found+=(aardvark-dns)
        has_admin_program iptables || has_admin_program nft || found+=(iptables)
        has_admin_program nft || found+=(nftables)  # keeps the hosts of a run from this machine and other networks
    fi
    # Without a registry, platform deb13 starts from a Debian mirror.
    ! command -v apt-get >/dev/null || command -v mmdebstrap >/dev/null || found+=(mmdebstrap)
    echo "${found[*]:-}"
}

install_command() {
    if command -v apt-get >/dev/null; then
        # no-install-recommends leaves out what only some machines need; named are all itb wants
        echo "apt-get install --yes --quiet --quiet --no-upgrade --no-install-recommends podman runc netavark aardvark-dns iptables nftables uidmap" \
            "slirp4netns fuse-overlayfs mmdebstrap git python3 python3-venv ca-certificates"
    elif command -v dnf >/dev/null; then
        echo "dnf install --assumeyes podman netavark aardvark-dns nftables git-core $(dnf_python)"
    elif command -v zypper >/dev/null; then
        echo "zypper --non-interactive install podman netavark aardvark-dns nftables git-core python311"
    elif command -v brew >/dev/null; then
        echo "brew install podman git python@3.12"
    fi
}

dnf_python() { [ -n "$(find_python)" ] && echo python3 || echo python3.11; }

install_packages() {
    local wanted=$1 command as_root=(env)
    command=$(install_command)
    if [ -z "$command" ]; then
        say "missing: $wanted; no package manager known here (apt-get, dnf, zypper, brew): install them by hand"
        exit 1
    fi
    if [[ $command != brew* ]] && [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
            say "missing: $wanted; as root, run:"
            say "    $command"
            exit 1
        fi
        as_root=(sudo env)  # sudo drops variables, env sets them again
    fi
    say "missing: $wanted; installing: $command"
    local words
    read -ra words <<<"$command"
    if [ "${words[0]}" = apt-get ]; then
        "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get update --quiet --quiet >&2
    fi
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive "${words[@]}" >&2
}

wanted=$(missing)
if [ -n "$wanted" ]; then
    install_packages "$wanted"
    wanted=$(missing)
    if [ -n "$wanted" ]; then
        say "still missing after the installation: $wanted"
        exit 1
    fi
fi

# The tests have several runs at once, and systemd in every host takes inotify instances of one allowance.
instances=/proc/sys/fs/inotify/max_user_instances
if [ "$extra" = dev ] && [ -w "$instances" ] && [ "$(cat "$instances")" -lt 512 ]; then
    say "fs.inotify.max_user_instances=512 until the next boot (was $(cat "$instances"))"
    echo 512 >"$instances" || say "that is refused: tests may fail for want of inotify instances"
fi

# The stamp is written last: an interrupted installation is done again.
stamp=.venv/.itb-${extra:-run}
want=$( (cat pyproject.toml; find_python) | cksum)
if [ ! -x .venv/bin/itb ] || [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    say "virtual environment in .venv"
    if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        "$(find_python)" -m venv --clear .venv
    fi
    .venv/bin/python -m pip install --quiet --editable ".${extra:+[$extra]}"
    echo "$want" >"$stamp"
fi
