# Everything on a fresh machine: needs only python3 (3.11+) with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Bytecode must be written, or every start of a worker's interpreter compiles the package again.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test heavy lint bench docs clean

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

demo: $(VENV)/ready  ## tune a real model on real data: 48 configs under ASHA against the same 48 without it
	$(BIN)/python examples/digits.py

test: $(VENV)/ready  ## the whole fast suite
	$(BIN)/python -m pytest -n auto -m "not heavy"

heavy: $(VENV)/ready  ## tests that need torch, keras, or a cluster of Ray, Dask or SLURM; or many seconds
	$(BIN)/python -m pip install --quiet 'torch==2.13.0' 'keras>=3.5' -e '.[ray,dask,slurm]'
	$(BIN)/python -m pytest -n 2 -m heavy

lint: $(VENV)/ready  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/ready  ## the benchmarks; peers are measured too where they are installed (see benchmarks/README.md)
	$(BIN)/python -m benchmarks.run

docs: $(VENV)/ready  ## the pictures of README.md, made from real runs
	$(BIN)/python docs/make_pictures.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
