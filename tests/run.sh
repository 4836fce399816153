#!/bin/bash
# All tests, in one pytest run whose last line is the sum of everything:
# style (ruff, mypy, shellcheck) and unit tests first, then what needs real
# containers, whole runs last.  usage: run.sh [unit|faults] [OPTION of pytest ...]
# faults: only tests/faults, but all of it: its files called whole_*.py take an hour.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

suites=(tests/style tests/unit)
workers=$(($(nproc) + 1))
if [ "${1:-}" = unit ]; then
    shift
elif [ "${1:-}" = faults ]; then
    shift
    suites=(--override-ini "python_files=test_*.py whole_*.py" tests/faults)
    export ITB_FAULTS_SEED="${ITB_FAULTS_SEED:-$RANDOM}" # of the random instants; it stands in the table
else
    suites+=(tests/integration tests/hostile tests/acceptance tests/faults)
fi

# A run waits most of its time, so one worker more than there are processors; with two
# more, the hosts of all runs come near what a machine allows (fs.inotify.max_user_instances).
# tests/conftest.py says what goes to one worker; the order is as it is here.
exec python -m pytest --numprocesses "$workers" --no-loadscope-reorder \
    --durations 15 --durations-min 5 "$@" "${suites[@]}"
