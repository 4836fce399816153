# Two commands: `make demo` sets everything up and runs the main job, `make test` sets everything up and tests.
.PHONY: demo test check benchmark faults defects

demo:
	@build_ws/machine/setup.sh
	@.venv/bin/itb run --product pocketwms --platform deb13

test:
	@build_ws/machine/setup.sh dev
	@tests/run.sh

benchmark:
	@build_ws/machine/setup.sh dev
	@tests/benchmarks/run.sh

# Kills and other faults at every phase, hostile candidates in whole runs; takes about an hour.
faults:
	@build_ws/machine/setup.sh dev
	@tests/run.sh faults

# Every defect of the catalogue in a run, and every harmless change; takes about half an hour.
defects:
	@build_ws/machine/setup.sh dev
	@tests/run.sh defects

# What needs no container: style, types, layers, unit tests.
check:
	@build_ws/machine/setup.sh dev
	@tests/run.sh unit
