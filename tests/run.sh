#!/bin/bash
# All tests, in one pytest run whose last line is the sum of everything:
# style (ruff, mypy, shellcheck) and unit tests first, then what needs real
# containers, whole runs last.  usage: run.sh [unit] [OPTION of pytest ...]
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

suites=(tests/style tests/unit)
if [ "${1:-}" = unit ]; then
    shift
else
    suites+=(tests/integration tests/acceptance)
fi

# A run waits most of its time, so one worker more than there are processors.
# tests/conftest.py says what goes to one worker; the order is as it is here.
workers=$(($(nproc) + 1))
exec python -m pytest --numprocesses "$workers" --no-loadscope-reorder \
    --durations 15 --durations-min 5 "$@" "${suites[@]}"
