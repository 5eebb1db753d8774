# Everything a person or CI does with a checkout. `make` alone says what there is.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3,$(shell command -v $(name))) python3)
VENV := .venv
BIN := $(VENV)/bin
# Every step says what it does when it takes longer than a moment, and stops at the first failure.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

# --- to run

.PHONY: demo
demo: $(VENV)/run.stamp ## See it at work: a gateway in front of small upstreams, one of them lying; Ctrl-C ends it
	@$(BIN)/python -m apprproxy demo

.PHONY: serve
serve: $(VENV)/run.stamp ## Run the gateway with config/apprproxy.yaml
	@$(BIN)/python -m apprproxy serve --config config/apprproxy.yaml

.PHONY: wheel
wheel: $(VENV)/build.stamp ## Build dist/apprproxy-….whl, to install it elsewhere
	@rm -rf dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation --wheel-dir dist .

# --- to test

.PHONY: test
test: lint unit ## Install what the tests need, check everything, run all tests

.PHONY: lint
lint: $(VENV)/dev.stamp ## Format check, lint, types, import contracts
	@echo "checking format, lint, types, import contracts" >&2
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo >.import_linter_cache.log 2>&1 || { cat .import_linter_cache.log; exit 1; }; rm .import_linter_cache.log

.PHONY: unit
unit: $(VENV)/dev.stamp peers
	@$(BIN)/python -m compileall -q apprproxy  # the tests start hundreds of commands, also where Python is told to write no bytecode
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder  # on two cores as well: each waits a third of its time for what it started

.PHONY: explore
explore: $(VENV)/dev.stamp ## Look for counterexamples to the laws that the tests try, with new examples and more of them
	@HYPOTHESIS_PROFILE=exploring $(BIN)/pytest -q -m "not peers" $$(grep -rlE '^@(given|law)' tests --include='test_*.py')

FUZZ_SECONDS ?= 600
.PHONY: fuzz
fuzz: .venv-fuzz/fuzz.stamp ## Look for inputs that break a parser's law, FUZZ_SECONDS (600) for each target, two at a time
	@.venv-fuzz/bin/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS)

.venv-fuzz/fuzz.stamp: requirements.txt pyproject.toml
	@echo "installing what fuzzing needs in .venv-fuzz" >&2
	@$(PYTHON) -m venv .venv-fuzz
	@.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

.PHONY: peers
peers: ## Install the genuine servers and clients that the tests use (once; kept outside this folder)
	@PYTHON=$(PYTHON) tests/peers/install.sh

.PHONY: format
format: $(VENV)/dev.stamp ## Put the code into the house's format
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

# --- the virtual environment, from lock files with hashes

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "$(PYTHON) is no Python 3.11 or later; name one: make PYTHON=/path/to/python3.12 demo" >&2; exit 1; }
	@echo "making a virtual environment in $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.txt $(VENV)/bin/python
	@echo "installing what apprproxy needs" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

# Hatchling and what it needs, as in the Dockerfile; pip refuses if one is left out.
$(VENV)/build.stamp: tests/requirements.txt $(VENV)/bin/python
	@echo "installing what builds the package" >&2
	@sed -n '/^\(hatchling\|packaging\|pathspec\|pluggy\|tomlkit\|trove-classifiers\)==/,/[^\\]$$/p' $< >$(VENV)/build.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $(VENV)/build.txt
	@touch $@

$(VENV)/dev.stamp: tests/requirements.txt $(VENV)/bin/python
	@echo "installing what the tests need" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.txt
	@touch $@ $(VENV)/run.stamp

.PHONY: lock
lock: $(VENV)/dev.stamp ## Pin the newest allowed versions, with hashes and without the name of any package index
	@for extra in "" "--extra dev --allow-unsafe"; do \
	  $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-header --no-emit-index-url \
	    --no-emit-find-links --no-emit-trusted-host $$extra \
	    --output-file $$([ -z "$$extra" ] && echo requirements.txt || echo tests/requirements.txt) pyproject.toml; \
	done

.PHONY: clean
clean: ## Remove the virtual environment and what tools left; the cache and the genuine peers stay
	@rm -rf $(VENV) .venv-fuzz .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist
