# Set-up, tests and upkeep. `make` alone lists the targets.

PYTHON    ?= python3
PIP_FLAGS ?=

VENV    := .venv
# The kind that the environment was made with, so that TORCH=cuda needs to be said only once.
TORCH   ?= $(or $(shell cat $(VENV)/.torch 2>/dev/null),cpu)
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check
STAMP   := $(VENV)/.installed-$(TORCH)
BASICSR := basicsr==1.4.2
# A process a core, four at most, for each takes up to 1 GB; the tests of a file stay together, for they share what is slow.
PYTEST  := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

ifeq ($(filter $(TORCH),cpu cuda),)
  $(error TORCH=$(TORCH) is not known: use TORCH=cpu (the default) or TORCH=cuda)
endif
ifeq ($(TORCH),cpu)
  # Exported, so that the isolated builds of dependencies obey the same pins.
  export PIP_CONSTRAINT := constraints-cpu.txt
  # Without dependencies: torchvision's default build is for CUDA and could pull a CUDA torch in.
  INSTALL_TORCH = $(PIP) install $(PIP_FLAGS) torch && $(PIP) install $(PIP_FLAGS) --no-deps torchvision
else
  INSTALL_TORCH = $(PIP) install $(PIP_FLAGS) torch torchvision
endif

.PHONY: help venv demo test slow lint format types options clean
.DEFAULT_GOAL := help

help:
	@echo "make venv      create $(VENV) and install everything into it (a second run takes no time)"
	@echo "make demo      a small network trained, released and measured on this machine, into results/demo"
	@echo "make test      the tests that take seconds"
	@echo "make slow      the tests that train"
	@echo "make lint      formatting and lint, changing nothing"
	@echo "make format    formatting and the lint fixes that are safe"
	@echo "make types     type check"
	@echo "make options   render options/ anew from the recipes"
	@echo "make clean     remove $(VENV), caches and build outputs; experiments/, results/ and datasets/ stay"
	@echo
	@echo "PYTHON=python3   the interpreter for $(VENV), 3.10 to 3.12 (now: $(PYTHON))"
	@echo "TORCH=cpu|cuda   cpu pins torch and torchvision as in constraints-cpu.txt; cuda takes pip's default (now: $(TORCH))"
	@echo "PIP_FLAGS=       more arguments for every pip install, such as --extra-index-url ADDRESS: on Linux, pip's"
	@echo "                 default torch is the large CUDA build; PyTorch's start page names the index of the CPU one"

venv: $(STAMP)

$(STAMP): setup.py pyproject.toml constraints-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' || { \
	  echo "error: $(PYTHON) is '$$($(PYTHON) --version 2>&1)'; Python 3.10, 3.11 or 3.12 is needed (BasicSR 1.4.2" \
	       "does not build on 3.13): make venv PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "error: $(PYTHON) cannot make virtual environments: install its venv module" \
	       "(Debian, Ubuntu: apt-get install python3-venv) and run make venv again" >&2; exit 1; }
	@test "$$(cat $(VENV)/.torch 2>/dev/null)" = $(TORCH) || $(PYTHON) -m venv --clear $(VENV)
	@echo $(TORCH) > $(VENV)/.torch
	$(PIP) install $(PIP_FLAGS) --upgrade pip "setuptools>=77" wheel
	$(INSTALL_TORCH)
	$(PIP) install $(PIP_FLAGS) --no-build-isolation --editable ".[train,dev]"
	$(PIP) install $(PIP_FLAGS) --use-pep517 --no-build-isolation --no-deps $(BASICSR)
	@touch $@

demo: venv
	$(BIN)/aethernet demo --out results/demo

test: venv
	$(PYTEST)

slow: venv
	$(PYTEST) -m slow

lint: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: venv
	$(BIN)/mypy

options: venv
	$(BIN)/aethernet options --all options

clean:
	rm -rf $(VENV) build dist archs/*.egg-info .pytest_cache .ruff_cache .mypy_cache
	find archs tests -name __pycache__ -type d -prune -exec rm -rf {} +
