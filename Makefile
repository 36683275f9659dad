# make demo | test | lint | clean | apt | v4l2. Everything is set up in .venv from constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
IN ?=

# Debian's packages for the tests that need more than Python, a line for each group.
APT_PACKAGES := \
  ffmpeg \
  chromium chromium-driver \
  gstreamer1.0-rtsp gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly python3-gi

V4L2_PACKAGES := qemu-system-x86 busybox-static gcc-12 make v4l-utils ffmpeg

.PHONY: setup demo test lint clean apt v4l2 v4l2-apt
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
	dpkg -s $(APT_PACKAGES) >/dev/null 2>&1 || \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(APT_PACKAGES); }

v4l2: setup  # cameras and virtual cameras on a kernel that has some, in QEMU; some minutes, 600 MB in build/
	tests/v4l2/machine.sh build/v4l2 $(BIN)/python -m pytest -p no:cacheprovider tests/v4l2/devices.py

v4l2-apt:  # as root; what that needs
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(V4L2_PACKAGES)

clean:
	rm -rf .venv out build *.egg-info
