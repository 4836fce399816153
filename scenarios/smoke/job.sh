#!/bin/bash
# One user job.
set -eu
echo "itb job $1 ran on $(hostname)"
sleep 1
