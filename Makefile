# `make quickstart` and `make test` set up .venv/ in this clone first, if need be.
#
# TORCH is what pip is asked for. On Linux, PyPI's torch brings the CUDA libraries along; on a machine without
# an NVIDIA GPU the CPU build is a much smaller download:
#   make quickstart TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
TORCH ?= torch==2.13.0
TASK ?= translation
CONFIG ?= $(patsubst %.translation.yaml,%.yaml,configs/quickstart.$(TASK).yaml)
READY := .venv/.ready

.PHONY: quickstart test lint clean help

help:
	@echo "make quickstart  train, search, deploy and report on an embedded small corpus (8 to 20 minutes on 2 cores);"
	@echo "                 TASK=classification: a classifier in place of a translator;"
	@echo "                 TASK=language_modeling: a language model"
	@echo "make test        run the tests"
	@echo "make lint        check style and types"
	@echo "make clean       remove .venv/ and build products (runs/ stays)"

# fairseq's build needs torch to be there already; with build isolation it would fetch another torch of its own.
$(READY): setup.py
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, e.g. make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --upgrade pip
	.venv/bin/pip install $(TORCH)
	.venv/bin/pip install "numpy>=1.26" cython "setuptools>=68" wheel
	.venv/bin/pip install --no-build-isolation "fairseq-fixed>=0.12.3.1"
	.venv/bin/pip install --no-build-isolation --editable ".[dev]"
	touch $(READY)

quickstart: $(READY)
	.venv/bin/hat-run $(CONFIG)

# Two at a time where that disturbs nobody: each test computes on one thread.
test: $(READY)
	.venv/bin/pytest -m "not alone" -n 2 --dist loadfile
	.venv/bin/pytest -m alone

lint: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
