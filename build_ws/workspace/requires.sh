#!/usr/bin/env bash
# Install what a spec needs to be built.
#
# usage: requires.sh SPEC
#
# Prints "needs: X" for each requirement that was not there, and
# "missing: X" for each the platform's repositories do not have either.
# Exit status: 0 all there, 3 some are missing, else dnf's or rpmspec's.
set -euo pipefail

mapfile -t wanted < <(rpmspec --query --buildrequires -- "$1" | sort --unique)
missing() {
    local item
    for item in "$@"; do
        # The name alone: rpmbuild itself compares versions.
        if [[ $item != rpmlib\(* ]] && ! rpm --query --quiet --whatprovides -- "${item%% *}" &&
            ! rpm --query --quiet -- "${item%% *}"; then
            printf '%s\n' "$item"
        fi
    done
}

mapfile -t lacking < <(missing "${wanted[@]}")
if ((${#lacking[@]} == 0)); then
    exit 0
fi
printf 'needs: %s\n' "${lacking[@]}"
if dnf --assumeyes --quiet --setopt=install_weak_deps=False install "${lacking[@]}" 2>&1; then
    exit 0
fi
# dnf names one requirement at a time, or none: ask for each.
status=1
for item in "${lacking[@]}"; do
    if [[ -z $(dnf --quiet repoquery --whatprovides "$item" 2>/dev/null) ]]; then
        printf 'missing: %s\n' "$item"
        status=3
    fi
done
exit "$status"
