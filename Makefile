# Needs Python 3.11 (or newer) with venv, make and git. Everything else is installed into .venv by the targets themselves.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUNTIME := .venv/.installed-runtime
DEV := .venv/.installed-dev
N ?= 10000
# The products here are small: threads of BLAS would cost more than they give, and fight with the tests over the cores.
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types unit fuzz bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME)  ## compile the digits network, run 360 images on the simulated chip, show some of them
	@$(BIN)/python samples/digits/demo.py

test: lint types unit  ## everything CI runs: ruff, pyright strict, all tests (set-up included, at most 12 minutes on 2 cores)

setup: $(DEV)  ## .venv with everything for development

lint: $(DEV)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)  ## pyright in strict mode
	$(BIN)/pyright

unit: $(DEV)  ## all tests, on two cores
	$(BIN)/python -m pytest -q -n 2

fuzz: $(DEV)  ## N random programs against both machines and the reference (make fuzz N=10000)
	$(BIN)/python tests/fuzz/run.py --count $(N)

bench: $(RUNTIME)  ## the tables of benchmarks/ (about 3 minutes)
	@$(BIN)/python benchmarks/gemm.py --simulate
	@$(BIN)/python benchmarks/weight_streaming.py
	@$(BIN)/python benchmarks/rram.py
	@$(BIN)/python benchmarks/machines.py --large
	@$(BIN)/python benchmarks/function_accuracy.py

clean:  ## remove .venv, build folders and caches
	rm -rf .venv build samples/*/build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "python3.11 is not on the PATH" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; found " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv

# A stamp is newer than pyproject.toml exactly when what that file asks for is installed.
$(RUNTIME): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(RUNTIME) $@
