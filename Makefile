# Each target sets up what it needs and skips what is current.
PYTHON ?= $(shell command -v python3.11 || echo python3)
CXX ?= c++
LOGS ?= runs/artifacts
TARGET ?= cpu
VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
export UV_PYTHON_DOWNLOADS := never

.PHONY: run test bench bench-pytorch tensorboard inspect check image lock format clean

run: $(READY)
	@$(BIN)/python local_runner.py $(ARGS)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

bench: $(READY)
	@$(BIN)/python -m benchmarks

tensorboard: $(READY)
	@$(BIN)/tensorboard --logdir $(LOGS) --host 127.0.0.1

inspect: $(READY)
	@$(BIN)/python -m lineage $(or $(ARGS),runs)

check:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 is needed (TFX 1.16 and TensorFlow 2.16); '$(PYTHON)' is not that. Install python3.11, or: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is needed. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@command -v $(CXX) >/dev/null || \
	  { echo "A C++ compiler is needed (pyfarmhash has no wheel). On Debian: apt-get install g++" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || \
	  { echo "Python's headers are needed (pyfarmhash has no wheel). On Debian: apt-get install python3-dev" >&2; exit 1; }

$(LOCKED): requirements/lock.txt requirements/dev.txt requirements/uv.txt
	@$(MAKE) --no-print-directory check
	@echo "Setting up $(VENV): one download of about 1 GB, then a minute of byte-compiling."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes \
	  -r requirements/lock.txt -r requirements/dev.txt
	@touch $@

$(READY): $(LOCKED) setup.py
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# PyTorch's wheel brings NVIDIA's libraries: 5 GB, in an environment of its own that nothing else uses.
bench-pytorch: $(READY)
	@$(PYTHON) -m venv .venv-pytorch
	@$(BIN)/uv pip install --quiet --python .venv-pytorch/bin/python --require-hashes -r requirements/pytorch.txt
	@$(BIN)/python -m benchmarks.pytorch

# The tag is the one that pipeline/cluster/images.py gives to a cluster.
image:
	@test -n "$(IMAGE)" || { echo "Name the image: make image IMAGE=REGISTRY/NAME TARGET=cpu (or gpu, tpu)" >&2; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "Commit or stash the changes first: the image is named by its commit" >&2; exit 1; }
	docker build --target $(TARGET) --build-arg COMMIT=$$(git rev-parse HEAD) --build-arg SOURCE --build-arg LIBTPU \
	  --tag $(IMAGE):$$(git rev-parse --short=12 HEAD)$(patsubst %,-%,$(filter-out cpu,$(TARGET))) .

COMPILE := ../$(BIN)/uv pip compile --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header --quiet

lock: $(READY)
	cd requirements && for name in lock dev gpu uv pytorch; do $(COMPILE) $$name.in --output-file $$name.txt; done
	cd requirements && $(COMPILE) tpu.in --override tpu-overrides.in --output-file tpu.txt

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
