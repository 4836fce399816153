#!/usr/bin/env bash
# List the RPM files below a folder, one line each, fields between tabs:
# path, name, epoch, version, release, architecture, source package or (none), SHA-256, bytes.
#
# usage: packages.sh FOLDER
#
# A file rpm cannot read, or whose digests are wrong, is a line
# "broken", path, reason.
set -euo pipefail

form='%{NAME}\t%{EPOCHNUM}\t%{VERSION}\t%{RELEASE}\t%{ARCH}\t%{SOURCEPACKAGE}\n'
mapfile -d '' -t files < <(find "$1" -type f -name '*.rpm' -print0 | sort --zero-terminated)
if ((${#files[@]} == 0)); then
    exit 0
fi

broken=
for file in "${files[@]}"; do
    if [[ $file == *[$'\n\t\\']* ]]; then
        printf 'broken\t%q\tits name has a tab, a newline or a backslash in it\n' "$file"
        broken=yes
    fi
done
[[ -z $broken ]] || exit 0

# All at once, since starting rpm costs more than reading a package.
if ! rpm --checksig --nosignature -- "${files[@]}" >/dev/null 2>&1; then
    for file in "${files[@]}"; do
        if ! said=$(rpm --checksig --nosignature -- "$file" 2>&1); then
            printf 'broken\t%s\t%s\n' "$file" "${said##*$'\n'}"
        fi
    done
    exit 0
fi
mapfile -t facts < <(rpm --query --package --queryformat "$form" -- "${files[@]}" 2>/dev/null)
mapfile -t sums < <(sha256sum -- "${files[@]}" | cut --delimiter=' ' --fields=1)
mapfile -t sizes < <(stat --format=%s -- "${files[@]}")
for i in "${!files[@]}"; do
    printf '%s\t%s\t%s\t%s\n' "${files[i]}" "${facts[i]}" "${sums[i]}" "${sizes[i]}"
done
