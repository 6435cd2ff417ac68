# Two commands on a fresh machine: make demo, make test. Each builds .venv by itself.
PYTHON ?= python3
VENV   := .venv
READY  := $(VENV)/.ready
RUN    := $(VENV)/bin/python -m
PIP    := $(RUN) pip --disable-pip-version-check -qq
BENCH  ?= digits
ARGS   ?=

# Two test workers of one thread each; numba may be asked for a second (see tests/conftest.py).
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=2
PYTEST  := $(THREADS) $(RUN) pytest -n 2 --dist loadfile --durations=10

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check bench figures clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(READY)  ## build .venv with the versions of constraints.txt (2 GB, some minutes)

# The stamp is written last: a .venv without it is half-built, and is built anew.
$(READY): constraints.txt setup.cfg pyproject.toml
	@test -f $@ || rm -rf $(VENV)
	@rm -f $@
	@echo "building $(VENV) from constraints.txt (2 GB, some minutes)"
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@$(PIP) install -c constraints.txt torch==2.13.0
	@$(PIP) install -c constraints.txt -e ".[all,dev]"
	@$(PIP) install -c constraints.txt --no-deps recbole==1.2.1
	@touch $@

demo: $(READY)  ## the whole workflow on embedded data (ARGS="..." goes to graphforget demo)
	@$(VENV)/bin/graphforget demo $(ARGS)

test: $(READY)  ## the tests, without the slow ones (ARGS="-k csr" goes to pytest)
	@$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(READY)  ## only the slow tests
	@$(PYTEST) -m slow $(ARGS)

# A fresh numba cache: numba serves a stale caller when a helper in another file has changed.
check: $(READY)  ## style, types, layers, doctests
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) pytest -q tests/test_layers.py
	@cache=$$(mktemp -d); trap 'rm -rf "$$cache"' EXIT; \
	    NUMBA_CACHE_DIR="$$cache" $(RUN) pytest -q --doctest-modules graphforget recsys

bench: $(READY)  ## one benchmark: make bench BENCH=cora ARGS="--methods retrain d2dgn"
	@$(RUN) benchmarks.$(BENCH) $(ARGS)

figures: $(READY)  ## every figure of the README; prints its predicted minutes first
	@$(RUN) benchmarks.figures $(ARGS)

clean:  ## remove caches and build output; keeps .venv, data and results
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov
	@find graphforget recsys benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +
