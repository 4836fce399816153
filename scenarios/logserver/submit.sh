#!/bin/bash
# Submits five jobs as testuser.
set -euo pipefail
# shellcheck source=../lib/jobs.sh
source "$ITB_LIB/jobs.sh"
submit_jobs 5
