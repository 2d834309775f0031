# Everything a person types.  `make setup` alone gives .venv/bin/mechaned and .venv/bin/mechane.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# pip compiles what it installs, but not a checkout that it installs as editable: uncompiled, a node takes
# twice as long to start wherever the interpreter may not write beside the sources.
COMPILE := $(BIN)/python -m compileall -q __init__.py __main__.py actors config hypervisors protocol
PYTEST := $(BIN)/python -m pytest -rs

.PHONY: help setup run test lint mypy bench docs deb test-day conformance test-kill test-restores test-soak test-upgrade test-xen fuzz clean

help: ## show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: $(STAMP) ## make .venv with mechaned and mechane in .venv/bin

# A virtual environment of python3 >= 3.11.  On Debian that needs python3-venv, which root may install.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "mechane needs Python 3.11 or later; $(PYTHON) is older. Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing python3-venv from Debian"; \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null \
	      || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; }; \
	  else \
	    echo "python3-venv is missing. Type: sudo apt-get install -y python3-venv"; exit 1; \
	  fi; }
	$(PYTHON) -m venv $(VENV)

# The link lets mypy see the root of the checkout under the name of the package.
$(STAMP): pyproject.toml | $(BIN)/python
	@mkdir -p $(VENV)/src && ln -sfn ../.. $(VENV)/src/mechane
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@$(COMPILE)
	@touch $@

run: setup ## boot a real guest under a throw-away node and show it
	@$(BIN)/python -m mechane.tests.guest.demo

test: lint ## ruff, mypy and all fast tests
	$(PYTEST)

lint: setup mypy ## ruff and mypy
	$(BIN)/ruff check .

mypy: setup ## mypy in strict mode
	$(BIN)/mypy

bench: setup ## compare with libvirt's own daemon, where it is installed
	@$(COMPILE)
	@$(BIN)/python -m mechane.benchmarks

docs: setup ## write the generated pages of docs/ anew
	$(BIN)/mechane api --docs docs
	$(BIN)/python -c 'import pathlib, mechane.hypervisors.matrix as m; pathlib.Path("docs/drivers.md").write_text(m.drivers_page())'

deb: setup ## build the Debian package: build/mechane_VERSION_all.deb
	@$(BIN)/python config/debian/build.py

test-day: setup ## the same day twice: libvirt by virsh, the installed node by mechane (slow: about 10 minutes)
	@$(BIN)/python -m mechane.tests.day

conformance: setup ## the contract check for every driver; conversions and command lines against libvirt's samples
	@status=0; \
	for part in conformance.contract conformance.conversions hypervisors.qemu_argv.conformance \
	  hypervisors.qemu_argv.native_conformance; do \
	  $(BIN)/python -m mechane.tests.$$part || status=1; \
	done; exit $$status  # all four, whatever the first ones find

test-restores: setup ## restore, move and damage stores under running guests (SEED=1 ROUNDS=300)
	@$(BIN)/python -m mechane.tests.acceptance.restores $(or $(SEED),1) $(or $(ROUNDS),300)

test-upgrade: setup ## from the first version to this one and back, under 20 running guests (QEMU=14 LXC=6)
	@$(BIN)/python -m mechane.tests.upgrade $(or $(QEMU),14) $(or $(LXC),6)

test-kill: setup ## kill the node at random moments and at each named point (slow)
	$(PYTEST) -m "slow and kill"

test-soak: setup ## races a thousand times, fuzzing, hung guests by the dozen (slow)
	$(PYTEST) -m "slow and not kill and not xen"

test-xen: setup ## boot Xen inside QEMU and drive real guests in it over SSH (slow: several minutes)
	time $(PYTEST) -s -m "slow and xen" tests/xen

fuzz: setup ## half a million damaged messages and documents, with the coverage they reach (slow)
	$(BIN)/python -m mechane.tests.acceptance.fuzz

clean: ## remove what make and the tools made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
