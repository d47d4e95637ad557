# Set-up, tests and upkeep. `make` alone lists the targets.

PYTHON    ?= python3
PIP_FLAGS ?=

VENV    := .venv
# The kind that the environment was made with, so that TORCH=cuda needs to be said only once.
TORCH   ?= $(or $(shell cat $(VENV)/.torch 2>/dev/null),cpu)
BIN     := $(VENV)/bin
FLOOR   := .venv-floor
PIP     := $(BIN)/python -m pip --disable-pip-version-check
STAMP   := $(VENV)/.installed-$(TORCH)
BASICSR := basicsr==1.4.2
# A process a core, four at most, for each takes up to 1 GB; the tests of a file stay together, for they share what is slow.
PYTEST  := python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

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
# OpenCV's headless build in the place of the other, into the environment whose bin/ is $(1): servers lack libGL. Both lie
# in one folder, so that both go before one comes, and pip is not asked for what the package requires.
define HEADLESS_OPENCV
version=$$($(1)/python -c 'from importlib.metadata import version; print(version("opencv-python"))') && \
  $(1)/python -m pip uninstall --yes opencv-python opencv-python-headless && \
  $(1)/python -m pip install $(PIP_FLAGS) --no-deps opencv-python-headless==$$version
endef

SAMPLE ?= 200
SEED   ?= 0

.PHONY: help venv demo test slow coverage mutants floor lint format types options clean
.DEFAULT_GOAL := help

help:
	@echo "make venv      create $(VENV) and install everything into it (a second run takes no time)"
	@echo "make demo      a small network trained, released and measured on this machine, into results/demo"
	@echo "make test      the tests that take seconds"
	@echo "make slow      the tests that train"
	@echo "make coverage  the same tests, and which lines and branches of the package none of them runs"
	@echo "make mutants   how many of SAMPLE=$(SAMPLE) random changes of the core (SEED=$(SEED)) the tests notice; half an hour"
	@echo "make floor     the tests with the least versions that setup.py allows, on Python 3.10, in $(FLOOR); takes"
	@echo "               gigabytes, for that torch comes as a CUDA build"
	@echo "make lint      formatting and lint, changing nothing"
	@echo "make format    formatting and the lint fixes that are safe"
	@echo "make types     type check"
	@echo "make options   render options/ anew from the recipes"
	@echo "make clean     remove $(VENV), $(FLOOR), caches and build outputs; experiments/, results/ and datasets/ stay"
	@echo
	@echo "PYTHON=python3   the interpreter for $(VENV), 3.10 to 3.14 (now: $(PYTHON)); from 3.13 on without BasicSR, so that"
	@echo "                 all works but training, and its tests are skipped"
	@echo "VENV=.venv       the environment, such as .venv-3.14 for a second one (now: $(VENV))"
	@echo "TORCH=cpu|cuda   cpu pins torch and torchvision as in constraints-cpu.txt; cuda takes pip's default (now: $(TORCH))"
	@echo "PIP_FLAGS=       more arguments for every pip install, such as --extra-index-url ADDRESS: on Linux, pip's"
	@echo "                 default torch is the large CUDA build; PyTorch's start page names the index of the CPU one"

venv: $(STAMP)
ifneq ($(origin PYTHON),file)
	@test "$$($(PYTHON) --version)" = "$$($(BIN)/python --version)" || { \
	  echo "error: $(VENV) has $$($(BIN)/python --version), not $$($(PYTHON) --version): give another folder, VENV=..., or" \
	       "run make clean" >&2; exit 1; }
endif

$(STAMP): setup.py pyproject.toml constraints-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "error: $(PYTHON) is '$$($(PYTHON) --version 2>&1)'; Python 3.10 or newer is needed, and for training at" \
	       "most 3.12: make venv PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "error: $(PYTHON) cannot make virtual environments: install its venv module" \
	       "(Debian, Ubuntu: apt-get install python3-venv) and run make venv again" >&2; exit 1; }
	@test "$$(cat $(VENV)/.torch 2>/dev/null)" = $(TORCH) || $(PYTHON) -m venv --clear $(VENV)
	@echo $(TORCH) > $(VENV)/.torch
	$(PIP) install $(PIP_FLAGS) --upgrade pip "setuptools>=77" wheel
	$(INSTALL_TORCH)
	$(PIP) install $(PIP_FLAGS) --no-build-isolation --editable ".[train,dev]"
	$(call HEADLESS_OPENCV,$(BIN))
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then \
	  set -x; $(PIP) install $(PIP_FLAGS) --use-pep517 --no-build-isolation --no-deps $(BASICSR); \
	else echo "$(VENV) is without BasicSR, which does not build on Python 3.13 or newer: all works but training"; fi
	@touch $@

demo: venv
	$(BIN)/aethernet demo --out results/demo

test: venv
	$(BIN)/$(PYTEST)

slow: venv
	$(BIN)/$(PYTEST) -m slow

coverage: venv
	$(BIN)/$(PYTEST) --cov --cov-report=term

mutants: venv
	$(BIN)/python -c 'import mutmut' 2>/dev/null || $(PIP) install $(PIP_FLAGS) "mutmut==3.*"
	$(BIN)/python tests/mutants.py build/mutants --sample $(SAMPLE) --seed $(SEED)

floor: PYTHON := python3.10
floor: UV = $(FLOOR)/bin/uv pip install $(PIP_FLAGS) --python $(FLOOR)/bin/python
floor:
	$(PYTHON) -m venv --clear $(FLOOR)
	$(FLOOR)/bin/python -m pip install $(PIP_FLAGS) uv
	$(UV) --resolution lowest-direct --editable ".[train,test]"
	$(UV) "setuptools>=77" wheel
	$(UV) --no-build-isolation --no-deps $(BASICSR)
	$(call HEADLESS_OPENCV,$(FLOOR)/bin)
	$(FLOOR)/bin/$(PYTEST)

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
	rm -rf $(VENV) $(FLOOR) build dist archs/*.egg-info .pytest_cache .ruff_cache .mypy_cache .coverage*
	find archs tests -name __pycache__ -type d -prune -exec rm -rf {} +
