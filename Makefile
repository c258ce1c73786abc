# One door to everything.  `make serve` and `make test` need python3 (3.11 or newer), its venv
# module and make; the rest is installed into .venv from requirements.lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := src tests bench
# One more than cores: whoever waits for a process that starts or ends, for a disk or a timeout,
# leaves its core to another.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
# Tests start hundreds of interpreters: each would compile all of Roost again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test lint types layers unit coverage docs faces campaign sim mutants bench format lock fresh clean

serve: $(VENV)/.installed
	@$(BIN)/roost serve --name default --data-dir data

test: $(VENV)/.installed-test
	@$(MAKE) --no-print-directory lint types layers unit coverage

lint: $(VENV)/.installed-test
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/.installed-test
	$(BIN)/mypy

layers: $(VENV)/.installed-test
	$(BIN)/lint-imports --no-cache

# Up to four workers; `make unit WORKERS=0` runs everything in one process.
unit: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -rs --numprocesses $(WORKERS) --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

# Every branch of the consensus core, by the tests that name what they show; no random ones.
coverage: $(VENV)/.installed-test
	@$(BIN)/python -m coverage run --data-file=$(VENV)/.coverage --branch --source=src/roost/raft \
		-m pytest -q --durations=0 -m "not slow" tests/raft tests/scenarios >$(VENV)/coverage.log 2>&1 \
		|| { cat $(VENV)/coverage.log; exit 1; }
	$(BIN)/python -m coverage report --data-file=$(VENV)/.coverage --skip-covered --fail-under=100

docs: $(VENV)/.installed-test
	$(BIN)/python docs/generate.py

# The blocking classes, of those of asyncio.
faces: $(VENV)/.installed-test
	$(BIN)/python -m roost.faces.writer tests.faces.example roost.database roost.objects roost.client

campaign: $(VENV)/.installed-test
	$(BIN)/python -m roost.testing.campaign --rounds 10

sim: $(VENV)/.installed-test
	$(BIN)/roost sim --seeds 1..2000

mutants: $(VENV)/.installed-test
	$(BIN)/python -m roost.sim.mutants

bench: $(VENV)/.installed-test
	$(BIN)/python -m bench

format: $(VENV)/.installed-test
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "roost needs python3: install the packages python3 and python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "roost needs Python 3.11 or newer; $(PYTHON) is older" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "roost needs Python's venv module: install the package python3-venv" >&2; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing Roost and what it needs"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.installed-test: requirements-test.lock $(VENV)/.installed
	@echo "installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.lock
	@touch $@

# Pin anew what pyproject.toml allows.
lock: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --allow-unsafe --extra test --output-file requirements-test.lock pyproject.toml

# Prove that a bare Debian 12 is enough for the two commands; as root, needs debootstrap.
fresh:
	@.ci/fresh

clean:
	rm -rf $(VENV)
