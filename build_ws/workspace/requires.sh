#!/usr/bin/env bash
# Install what a spec needs to be built.
#
# usage: requires.sh SPEC
#
# Prints "needs: X" for each requirement that was not there, and
# "missing: X" for each the platform's repositories do not have either.
# Exit status: 0 all there, 3 some are missing, else dnf's.
set -euo pipefail

# Debian's dnf turns on a plugin that adds a repository without a key, which
# makes every installation with gpgcheck=1 fail.
dnf=(dnf --assumeyes --quiet --disableplugin=local --setopt=install_weak_deps=False)

# A spec that rpm cannot read yet, being a template, is rpmbuild's to judge.
wanted=$(rpmspec --query --buildrequires -- "$1" 2>/dev/null) || exit 0

lacking=()
while IFS= read -r item; do
    name=${item%% *} # without the version, which rpmbuild itself compares
    if [[ -n $item && $item != rpmlib\(* ]] && ! rpm --query --quiet --whatprovides -- "$name" &&
        ! rpm --query --quiet -- "$name"; then
        lacking+=("$item")
    fi
done < <(sort --unique <<<"$wanted")
if ((${#lacking[@]} == 0)); then
    exit 0
fi

printf 'needs: %s\n' "${lacking[@]}"
if "${dnf[@]}" install "${lacking[@]}" 2>&1; then
    exit 0
fi
# dnf names one requirement at a time, or none: ask for each.
status=1
for item in "${lacking[@]}"; do
    found=$("${dnf[@]}" repoquery --whatprovides "$item" 2>/dev/null) || exit 1
    if [[ -z $found ]]; then
        printf 'missing: %s\n' "$item"
        status=3
    fi
done
exit "$status"
