#!/bin/bash
# Measures itb against plain.sh, which does the same work by hand, pair by pair,
# and 20 trivial scenario steps against 20 bare calls of the engine.
# usage: run.sh [--pairs N] [--steps-only | --runs-only] [--product glideinwms --source CLONE --ref TAG]
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH"
exec python tests/benchmarks/measure.py "$@"
