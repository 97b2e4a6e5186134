# Two commands: `make demo` shows the whole product, `make test` proves it.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STORE ?= artifacts
QUALITY_STORE ?= artifacts-quality

.PHONY: demo test lint unit quality bench bench-full serve clean

demo: $(VENV)/.ready
	$(BIN)/plotpointe demo --store $(STORE)

test: lint unit

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.ready
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder \
		-m "not benchmark"

# Hours, and the shared data: docs/how-to/quality.md. Not part of `test`. Again continues.
quality: $(VENV)/.ready
	$(BIN)/python -m benchmarks.quality --store $(QUALITY_STORE) $(QUALITY)

# Speed beside peers in the same run, written to benchmarks/results: minutes, and hours.
bench: $(VENV)/.ready $(VENV)/.peers
	$(BIN)/python -m benchmarks $(BENCH)

bench-full: $(VENV)/.ready $(VENV)/.peers
	$(BIN)/python -m benchmarks --full $(BENCH)

# Whom the benchmarks compare with, and nothing else needs.
$(VENV)/.peers: $(VENV)/.ready
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[pipeline,dev,peers]'
	touch $@

serve: $(VENV)/.ready
	$(BIN)/plotpointe serve --store $(STORE)

# The stamp is newer than the files that say what is installed, or the installation is repeated.
# torch is asked for first and by its exact version: left to itself, pip takes CUDA packages.
$(VENV)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[pipeline,dev]'
	touch $@

clean:
	rm -rf $(VENV) artifacts build *.egg-info .pytest_cache .mypy_cache .ruff_cache
