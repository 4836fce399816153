#!/bin/bash
# Byte-compiles every Python module of the build root, as EL's brp-python-bytecompile.
set -euo pipefail

root=${RPM_BUILD_ROOT:?}
mapfile -t directories < <(find "$root/usr/lib/python3" "$root/usr/lib64/python3" -maxdepth 1 -name dist-packages 2>/dev/null)
[ "${#directories[@]}" -gt 0 ] || exit 0
# A module of another Python is the product's business, as on EL: it warns and goes on.
/usr/bin/python3 -m compileall -q -f -s "$root" -o 0 -o 1 "${directories[@]}" >&2 || :
