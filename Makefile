# The one door to every tool; `make` alone lists what there is.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# pip of an older Python build is enough: hashes and wheels only, nothing is upgraded.

.PHONY: help run test check format lint bench soak contracts migrate lock clean

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: $(VENV)/.runtime ## start the three services with the demonstration; Ctrl-C ends it
	@$(BIN)/worthwhile up --demo

test: $(VENV)/.dev ## the whole test-suite, on SQLite and on PostgreSQL
	@$(BIN)/python -m pytest

check: lint test ## all that CI runs: format, lint, types, import contracts, API snapshots, tests

lint: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev ## let ruff format and mend what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## measure, as ratios against a peer in the same run
	@$(BIN)/python -m benchmarks

soak: $(VENV)/.dev ## kill service and database under load, SOAK_ROUNDS times (50) on each database
	@$(BIN)/python -m tests.soak

contracts: $(VENV)/.dev ## write docs/openapi and docs/events anew from the code
	@$(BIN)/python -m tests.contracts.snapshots

migrate: $(VENV)/.runtime ## bring the three databases to the newest schema
	@for service in goals metrics valuation; do $(BIN)/worthwhile $$service migrate || exit 1; done

lock: ## resolve the dependencies again (needs uv)
	@for set in "runtime:" "dev:--extra dev -c requirements/runtime.txt"; do \
	  uv pip compile pyproject.toml $${set#*:} --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate --quiet --output-file requirements/$${set%%:*}.txt || exit 1; done

clean: ## remove the environment and local data
	@rm -rf $(VENV) .worthwhile build *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Worthwhile needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (choose another with make PYTHON=...).")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python requirements/runtime.txt pyproject.toml
	@echo "Installing what the services need into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo "Installing what tests and checks need into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
