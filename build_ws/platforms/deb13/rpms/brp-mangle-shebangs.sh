#!/bin/bash
# Looks at the first line of every program of the build root, as EL's script of this name does (brp-mangle-shebangs of
# redhat-rpm-config): a Python of no version ends the build, env goes, /bin becomes /usr/bin, and what is executable
# but has no such line is so no longer.
# usage: brp-mangle-shebangs [--shebangs REGEX] [--shebangs-from FILE] [--files REGEX] [--files-from FILE]
set -euo pipefail

exclude_lines=() exclude_files=()
while [ "$#" -gt 0 ]; do
    case $1 in
        --shebangs) exclude_lines+=(-e "$2") ;;
        --shebangs-from) exclude_lines+=(-f "$2") ;;
        --files) exclude_files+=(-e "$2") ;;
        --files-from) exclude_files+=(-f "$2") ;;
    esac
    shift 2
done
excluded() { [ "$#" -gt 1 ] && grep --quiet --extended-regexp "${@:2}" <<<"$1"; }

cd "${RPM_BUILD_ROOT:?}"
failed=0
while IFS= read -r -d '' file; do
    path=${file#.}
    case $(file --brief --mime-type "$file") in text/* | application/javascript) ;; *) continue ;; esac
    excluded "$path" "${exclude_files[@]}" && continue
    IFS= read -r first <"$file" || :
    if [[ $first != '#!'* ]]; then
        echo "*** WARNING: $file is executable but has no shebang, removing executable bit" >&2
        chmod -x "$file"
        continue
    fi
    line=$(sed 's/^#![[:space:]]*//; s/[[:space:]]*$//' <<<"$first")
    if [ -z "$line" ]; then
        echo "*** WARNING: $file is executable but has empty shebang, removing executable bit" >&2
        chmod -x "$file"
        continue
    elif [[ $line != /* ]]; then
        echo "*** ERROR: $path has shebang which doesn't start with '/' ($line)" >&2
        failed=1
        continue
    fi
    excluded "$line" "${exclude_lines[@]}" && continue
    [[ $line =~ ^/(usr/)?(bin|sbin)/ ]] || continue
    new=$(sed -E 's@^(.+/)env +(-S +)?(/.+)$@\3@; s@^(.+/)env +(-S +)?([^ ].*)$@\1\3@; s@^/(bin|sbin)/@/usr/\1/@' <<<"$line")
    if [[ $new =~ ^/usr/bin/python([[:space:]]|$) ]]; then
        echo "*** ERROR: ambiguous python shebang in $path: #!$line. Change it to python3 (or python2) explicitly." >&2
        failed=1
    elif [ "#!$new" != "$first" ]; then
        echo "mangling shebang in $path from $line to #!$new"
        time=$(stat --format=%y "$file")
        sed -i "1c #!$new" "$file"
        touch --date="$time" "$file"
    fi
done < <(find . -executable -type f -print0)
exit "$failed"
