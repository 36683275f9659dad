# make demo | test | lint | clean. Everything is set up in .venv from constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
IN ?=

.PHONY: setup demo test lint clean
setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/s3pot demo $(if $(IN),--input $(IN)) --output out

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv out build *.egg-info
