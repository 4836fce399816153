#!/bin/bash
# Byte-compiles every Python module of the build root, plain and optimized, as EL's script of this name does
# (brp-python-bytecompile of redhat-rpm-config): in Python's own folders only, and a module that is no Python ends the
# build unless %_python_bytecompile_errors_terminate_build is 0.
# usage: brp-python-bytecompile PYTHON ERRORS_TERMINATE EXTRA
set -uo pipefail

root=${RPM_BUILD_ROOT:?}
mapfile -t directories < <(find "$root/usr/lib/python3" "$root/usr/lib64/python3" -maxdepth 1 -name dist-packages 2>/dev/null)
[ "${#directories[@]}" -gt 0 ] || exit 0
/usr/bin/python3 -m compileall -q -f -s "$root" -p / -o 0 -o 1 "${directories[@]}" >&2 || [ "${2:-}" = 0 ]
