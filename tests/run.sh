#!/bin/bash
# All tests, in one pytest run whose last line is the sum of everything:
# style (ruff, mypy, shellcheck) and unit tests first, then what needs real
# containers, whole runs last.  usage: run.sh [unit|faults|defects] [OPTION of pytest ...]
# defects: only tests/defects, but all of them. faults: all that is marked whole, which takes an hour, and what is beside it.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

suites=(tests/style tests/unit)
marked=(-m "not whole and not defects")
# A run waits most of its time, so there are two workers more than processors; but the hosts
# of a run take 18 instances of inotify, and the machine has so many for all of a user.
workers=$(($(nproc) + 2))
instances=$(cat /proc/sys/fs/inotify/max_user_instances 2>/dev/null || echo 128)
((workers <= instances / 25)) || workers=$((instances / 25 > 0 ? instances / 25 : 1))
if [ "${1:-}" = unit ]; then
    shift
elif [ "${1:-}" = faults ]; then
    shift
    suites=(tests/hostile tests/faults tests/acceptance/test_endings.py tests/acceptance/test_tokens.py) marked=()
    export ITB_FAULTS_SEED="${ITB_FAULTS_SEED:-$RANDOM}" # of the random instants; it stands in the table
elif [ "${1:-}" = defects ]; then
    shift
    suites=(tests/defects) marked=()
else
    suites+=(tests/integration tests/hostile tests/acceptance tests/defects tests/faults)
fi

# tests/conftest.py says what goes to one worker; the order is as it is here.
exec python -m pytest --numprocesses "$workers" --no-loadscope-reorder \
    --durations 15 --durations-min 5 "${marked[@]}" "$@" "${suites[@]}"
