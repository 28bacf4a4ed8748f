# Each target sets up what it needs and skips what is current.
# The Python that .venv was made with, where there is one.
PYTHON ?= $(shell for name in $$(sed -n 's/^executable = //p' .venv/pyvenv.cfg 2>/dev/null) python3.11 python3.12 python3.13; do \
  command -v $$name && exit; done; echo python3)
CXX ?= c++
LOGS ?= runs/artifacts
TARGET ?= cpu
VENV := .venv
BIN := $(VENV)/bin
CHOOSE = $(PYTHON) requirements/choose.py $(STACK)
CHOSEN := $(shell $(CHOOSE) 2>/dev/null)
LOCKED := $(VENV)/.locked-$(CHOSEN)
READY := $(VENV)/.ready
export UV_PYTHON_DOWNLOADS := never

.PHONY: run test stack bench bench-pytorch tensorboard inspect check tools image lock format clean

run: $(READY)
	@$(BIN)/python local_runner.py $(ARGS)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

stack:
	@$(PYTHON) -c '' 2>/dev/null || \
	  { echo "Python is needed; '$(PYTHON)' is not one. Install python3, or: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(CHOOSE) >/dev/null

bench: $(READY)
	@$(BIN)/python -m benchmarks

tensorboard: $(READY)
	@$(BIN)/tensorboard --logdir $(LOGS) --host 127.0.0.1

inspect: $(READY)
	@$(BIN)/python -m lineage $(or $(ARGS),runs)

check: stack tools

tools:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is needed. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@command -v $(CXX) >/dev/null || \
	  { echo "A C++ compiler is needed (pyfarmhash has no wheel). On Debian: apt-get install g++" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || \
	  { echo "Python's headers are needed (pyfarmhash has no wheel). On Debian: apt-get install python3-dev" >&2; exit 1; }

# wildcard: where no stack fits there is no such lock, and `stack` says why
$(LOCKED): $(wildcard requirements/lock-$(CHOSEN).txt requirements/dev-$(CHOSEN).txt) requirements/uv.txt | stack
	@$(MAKE) --no-print-directory tools
	@echo "Setting up $(VENV): one download of about 1 GB, then a minute of byte-compiling."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes \
	  -r requirements/lock-$(CHOSEN).txt -r requirements/dev-$(CHOSEN).txt
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
OLD := $(COMPILE) --python-platform x86_64-manylinux_2_28
NEW := $(COMPILE) --universal

lock: $(READY)
	cd requirements && for name in lock-old gpu uv pytorch; do $(OLD) $$name.in --output-file $$name.txt || exit; done
	cd requirements && $(OLD) tpu.in --override tpu-overrides.in --output-file tpu.txt
	cd requirements && $(NEW) lock-new.in --output-file lock-new.txt
	cd requirements && $(OLD) dev.in --constraints lock-old.txt --output-file dev-old.txt
	cd requirements && $(NEW) dev.in --constraints lock-new.txt --output-file dev-new.txt

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
