#!/bin/bash
# All jobs have ended with exit code 0; says on the way how many have.
set -euo pipefail
# shellcheck source=jobs.sh
source "$ITB_LIB/jobs.sh"
jobs_ended
