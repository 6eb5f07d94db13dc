PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: demo test test-slow lint format setup

demo: $(VENV)/ready-core
	$(BIN)/handjax demo --out=demo_out

test: $(READY)
	$(BIN)/python -m pytest -q -n auto --dist loadfile

test-slow: $(READY)
	$(BIN)/python -m pytest -q -m slow -n auto --dist loadfile

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(READY)

$(VENV)/ready-core: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(READY): $(VENV)/ready-core
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@
