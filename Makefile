# make demo    the whole loop on this machine, pictures left in demo-out/
# make test    static checks and all tests; installs what they need
# make check   static checks only: ruff, mypy --strict, layer contracts
# make bench   speed and memory, printed with machine and versions
# make chaos   kill processes by the hundred, counts into deploy/reliability.md
# make fuzz    fuzzing of what is received, 30 s each target (SECONDS=600 for longer)
# make lock    resolve the dependencies anew into requirements.lock

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-out

SECONDS ?= 30

.PHONY: demo test check bench chaos fuzz lock peers clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "found $$($(PYTHON) --version), Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "cannot make a virtual environment: install the package python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: $(VENV)/.ready
	$(BIN)/cestle demo --out $(OUT)

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

peers:
	@bash tests/install_peers.sh

test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: check peers
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

bench: $(VENV)/.ready peers
	cd tests && ../$(BIN)/python -m benchmarks $(ONLY)

chaos: export OMP_NUM_THREADS = 1
chaos: export OPENBLAS_NUM_THREADS = 1
chaos: $(VENV)/.ready peers
	cd tests && ../$(BIN)/python -m faults.reliability $(SEED)

fuzz: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "atheris>=3.0"
	cd tests && for target in received facts paths; do \
		../$(BIN)/python -m faults.fuzz $$target $(SECONDS) || exit 1; done

lock: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --group dev \
		--no-header --no-annotate --upgrade pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .venv-peers $(OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis
