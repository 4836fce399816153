#!/bin/bash
# Submits jobs as testuser: ITB_USER_JOBS of them (5), of ITB_JOB_SECONDS each (1).
set -euo pipefail
# shellcheck source=jobs.sh
source "$ITB_LIB/jobs.sh"
# ITB_JOBS: its earlier name, which is a setting of itb, too
submit_jobs "${ITB_USER_JOBS:-${ITB_JOBS:-5}}" "${ITB_JOB_SECONDS:-1}"
