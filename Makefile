# make demo | test | lint | clean | apt. Everything is set up in .venv from constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
IN ?=

# Debian's packages for tests that need more than Python: a browser, for the page.
DEBIAN := chromium chromium-driver

.PHONY: setup demo test lint clean apt
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

apt:  # as root; the tests that need them are skipped without them
	dpkg -s $(DEBIAN) >/dev/null 2>&1 || \
	  { apt-get update -q && apt-get install -y -q --no-install-recommends $(DEBIAN); }

clean:
	rm -rf .venv out build *.egg-info
