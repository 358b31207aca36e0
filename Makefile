# Everything that a developer types. `make demo` and `make test` set up what they need by themselves.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# of the tests, which wait for others half of their time
WORKERS ?= 4

.PHONY: help demo test lint pytest soak bench bench-plots bench-leases bench-fleet docs pictures clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo    install Portward into $(VENV) and check examples/nexus with it'
	@echo 'make test    the gate: ruff, mypy, and every test'
	@echo 'make soak    the tests at their full sizes: hours'
	@echo 'make bench   Portward paired with its peers, in one table'
	@echo 'make bench-plots  how the cost of a listing grows, as plots in docs/'
	@echo 'make bench-leases  who hands out a port twice: leases beside their peers, many processes at once'
	@echo 'make bench-fleet  claims beside a bare client of etcd, views of 10,000 hosts, and 1,000 simulated ones: minutes'
	@echo 'make docs    write the generated parts of the documentation anew'
	@echo 'make pictures  take the pictures of the documentation anew (root, Chromium)'
	@echo 'make clean   remove $(VENV) and caches'
	@echo 'PYTHON=python3.12 VENV=.venv-3.12 choose another interpreter and folder'

demo: $(VENV)/.demo
	@$(BIN)/portward -C examples/nexus check; code=$$?; \
	echo "portward check: exit $$code"; [ $$code -le 1 ]

test: lint pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

pytest: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST)

soak: export PORTWARD_SOAK = 1
soak: export PORTWARD_EXAMPLES ?= 5000
soak: export PORTWARD_FUZZ_SECONDS ?= 600
soak: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --timeout=0 $(PYTEST)

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.run $(BENCH)
	$(BIN)/python -m benchmarks.projects

bench-plots: $(VENV)/.dev
	$(BIN)/python -m benchmarks.run --plots docs $(BENCH)

bench-leases: $(VENV)/.dev
	$(BIN)/python -m benchmarks.leases $(BENCH)

bench-fleet: $(VENV)/.dev
	$(BIN)/python -m benchmarks.fleet $(BENCH)

docs: $(VENV)/.dev
	$(BIN)/python -m tests.generated_docs

pictures: $(VENV)/.dev
	$(BIN)/python -m tests.pictures

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	@echo 'installing Portward into $(VENV) …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	@echo 'installing Portward and its development tools into $(VENV) …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

# What may be missing on a fresh system is told before anything fails.
$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { \
	echo 'make: $(PYTHON) is missing: apt-get install python3 python3-venv, or PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "make: Portward needs Python 3.11 or newer; $$($(PYTHON) --version) is too old (PYTHON=python3.12 chooses another)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo 'make: the venv module of $(PYTHON) is missing: apt-get install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@
