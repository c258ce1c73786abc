# One door to everything.  `make serve` and `make test` need python3 (3.11 or newer), its venv
# module and make; the rest is installed into .venv from requirements.lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := src tests bench compiling deploy
# Two more than cores: whoever waits for a process that starts or ends, for a disk or a timeout,
# leaves its core to another.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 2 )))
# Tests start hundreds of interpreters: each would compile all of Roost again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test lint types layers unit coverage docs faces campaign sim mutants bench format lock fresh clean
.PHONY: fast slow wheel deb sbom release-check test-compiled speed site

serve: $(VENV)/.installed
	@$(BIN)/roost serve --name default --data-dir data

# Everything runs pure, without what `make fast` made; then what is compiled, in a wheel of its own.
test: $(VENV)/.installed-test slow
	@$(MAKE) --no-print-directory lint types layers unit coverage test-compiled

lint: $(VENV)/.installed-test
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

# Each takes a core.
types: $(VENV)/.installed-test
	@$(MAKE) --no-print-directory -j2 .types-mypy .types-basedpyright

.types-%:
	$(BIN)/$*

layers: $(VENV)/.installed-test
	$(BIN)/lint-imports --no-cache

# Up to four workers; `make unit WORKERS=0` runs everything in one process.
unit: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -rsfE --numprocesses $(WORKERS) --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

# Every branch of the consensus core, by the tests that name what they show; no random ones.
coverage: $(VENV)/.installed-test
	@$(BIN)/python -m coverage run --data-file=$(VENV)/.coverage --branch --source=src/roost/raft \
		-m pytest -q --durations=0 -m "not slow" tests/raft tests/scenarios >$(VENV)/coverage.log 2>&1 \
		|| { cat $(VENV)/coverage.log; exit 1; }
	$(BIN)/python -m coverage report --data-file=$(VENV)/.coverage --skip-covered --fail-under=100

# The hot modules compiled in place, which takes a minute or two; `make slow` removes what was made.
fast: $(VENV)/.installed-test
	@$(BIN)/python compiling/compile.py

slow:
	@$(PYTHON) compiling/compile.py --remove

# In dist/: the sources, and a wheel with the compiled modules for this Python and this kind of machine.
wheel: $(VENV)/.installed-wheel
	@$(BIN)/python compiling/compile.py --can
	@$(MAKE) --no-print-directory .wheel
	@cp build/wheel/*.tar.gz dist

# Where nobody can tell for which machines of its kind it is good, a wheel is for those like this one.
WHEEL_FLAGS ?=
WHEEL_DIR ?= dist
.PHONY: .wheel
.wheel:
	@rm -rf build/wheel $(WHEEL_DIR)
	ROOST_COMPILE=1 $(BIN)/python -m build $(WHEEL_FLAGS) --outdir build/wheel
	@mkdir -p $(WHEEL_DIR)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir $(WHEEL_DIR) build/wheel/*.whl \
		|| { echo "wheel: NO manylinux tag: auditwheel cannot tell"; cp build/wheel/*.whl $(WHEEL_DIR); }

# In dist/: a package for Debian, of what the lock files pin and the system's Python (docs/how-to/install.md).
deb: $(VENV)/.installed-test $(VENV)/.installed-wheel
	@if why=$$($(BIN)/python compiling/compile.py --can 2>&1); then \
		$(MAKE) --no-print-directory .wheel WHEEL_FLAGS="--wheel --no-isolation" WHEEL_DIR=build/deb; \
	else echo "deb: pure Python, nothing is compiled: $$why"; rm -rf build/deb; \
		$(BIN)/python -m build --wheel --no-isolation --outdir build/deb; fi
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
		$(BIN)/python -m deploy.debian.build --wheel build/deb/*.whl --into dist

# In dist/: a bill of materials, of all that the package and the container have in them.
sbom: $(VENV)/.installed-test
	@$(BIN)/python -m deploy.sbom --into dist/roost-$$($(BIN)/python -c "from importlib.metadata import version; print(version('roost'))").cdx.json

# What must hold before a release is tagged (docs/how-to/release.md).
release-check: $(VENV)/.installed-test $(VENV)/.installed-wheel
	@$(BIN)/python -m deploy.release

# What goes with a request runs compiled, too: the suites of the compiled modules, members in real
# processes, and the simulator, all of a wheel that is installed beside the sources.  Without a
# compiler it is left out, and said.
COMPILED_TREE := $(CURDIR)/build/compiled
COMPILED_WHEEL := $(CURDIR)/build/dist
# Some seeds take ten times as long as others: in small parts no core waits for another.
COMPILED_SEEDS ?= 1..25 26..50 51..75 76..100 101..125 126..150 151..175 176..200
COMPILED_SUITES := tests/raft tests/scenarios tests/journal tests/store tests/member tests/server tests/etcd \
	tests/counters \
	tests/fuzz tests/test_parted.py tests/test_slices.py tests/test_ticker.py tests/test_fair_queue.py tests/test_flow.py tests/test_histogram.py \
	tests/test_memory.py tests/test_outcome.py tests/peer tests/test_compiled.py tests/test_wheel.py
# Not all of tests/integration: what stops members at a hundred moments, damages files and runs out
# of things is long, and is of modules that are not compiled.
COMPILED_CLUSTERS := $(addprefix tests/integration/,test_operations.py test_edges.py test_membership.py \
	test_kills.py test_real_faults.py test_fairness.py)
test-compiled: $(VENV)/.installed-test
	@if why=$$($(BIN)/python compiling/compile.py --can 2>&1); then \
		$(MAKE) --no-print-directory .test-compiled; \
	else echo "test-compiled: SKIPPED, nothing ran compiled: $$why"; fi

.PHONY: .test-compiled .compiled-tree
.test-compiled: .compiled-tree
	PYTHONPATH=$(COMPILED_TREE) ROOST_TREE=compiled $(BIN)/python -m pytest -q -rsfE --numprocesses $(WORKERS) \
		--maxprocesses 4 --dist loadgroup --no-loadscope-reorder $(COMPILED_SUITES) $(COMPILED_CLUSTERS)
	@$(MAKE) --no-print-directory -j$$(getconf _NPROCESSORS_ONLN) $(addprefix .seeds-,$(COMPILED_SEEDS))

.seeds-%:
	PYTHONPATH=$(COMPILED_TREE) $(BIN)/roost sim --seeds $* 2>$(VENV)/$@.log || { cat $(VENV)/$@.log; exit 1; }

.compiled-tree: $(VENV)/.installed-test $(VENV)/.installed-wheel
	@$(MAKE) --no-print-directory .wheel WHEEL_FLAGS="--wheel --no-isolation" WHEEL_DIR=$(COMPILED_WHEEL)
	@rm -rf $(COMPILED_TREE)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index \
		--target $(COMPILED_TREE) $(COMPILED_WHEEL)/*.whl

docs: $(VENV)/.installed-test
	$(BIN)/python docs/generate.py
	$(BIN)/python -m deploy.grafana.panels

# In build/site: the documentation as a site, searchable, that asks nobody else for anything.  What makes
# it has an environment of its own.
SITE_TOOLS := build/site-tools
site: $(SITE_TOOLS)/.installed
	NO_MKDOCS_2_WARNING=1 $(SITE_TOOLS)/bin/mkdocs build --strict --quiet --config-file deploy/site/mkdocs.yml
	@echo "build/site: python3 -m http.server --directory build/site"

# The blocking classes, of those of asyncio.
faces: $(VENV)/.installed-test
	$(BIN)/python -m roost.faces.writer tests.faces.example roost.database roost.objects roost.counters roost.client roost.program

campaign: $(VENV)/.installed-test
	$(BIN)/python -m roost.testing.campaign --rounds 10

sim: $(VENV)/.installed-test
	$(BIN)/roost sim --seeds 1..2000

# They change functions, so they run pure.
mutants: $(VENV)/.installed-test slow
	$(BIN)/python -m roost.sim.mutants

bench: $(VENV)/.installed-test
	$(BIN)/python -m bench

# All rows beside etcd, their raw results, and the page and charts that are made of them; on a quiet
# machine, half an hour.  What is measured is a wheel, compiled where there is a compiler.
speed: $(VENV)/.installed-test
	@rm -rf $(COMPILED_TREE)
	@if $(BIN)/python compiling/compile.py --can; then $(MAKE) --no-print-directory .compiled-tree; fi
	PYTHONPATH=$(COMPILED_TREE) $(BIN)/python -m bench --rows all --rounds 7 --into bench/results/against-etcd.json
	$(BIN)/python -m bench.wan --into bench/results/wan.json
	$(BIN)/python -m bench.page

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

$(VENV)/.installed-wheel: requirements-wheel.lock $(VENV)/.installed
	@echo "installing what makes wheels"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-wheel.lock
	@touch $@

$(SITE_TOOLS)/.installed: requirements-site.lock
	@echo "installing what makes the site"
	@$(PYTHON) -m venv $(SITE_TOOLS)
	@$(SITE_TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-site.lock
	@touch $@

# Pin anew what pyproject.toml allows.
lock: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --allow-unsafe --extra arrow --extra plot --extra prometheus --extra series --extra test --output-file requirements-test.lock pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --constraint requirements-test.lock --extra dns --extra plot --extra prometheus --extra s3 --extra series --extra terminal --output-file requirements-deploy.lock pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --constraint requirements-test.lock --output-file requirements-wheel.lock compiling/wheel.in
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --output-file requirements-site.lock deploy/site/requirements.in

# Prove that a bare Debian 12 is enough for the two commands; as root, needs debootstrap.
fresh:
	@.ci/fresh

clean: slow
	rm -rf $(VENV) build
