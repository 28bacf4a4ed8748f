# Each target sets up what it needs and skips what is up to date.
# Default: the Python that created .venv, then python3.11 to python3.13, then python3.
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

.DEFAULT_GOAL := help
.PHONY: help run test lint stack bench bench-pytorch kubeflow-proof tensorboard inspect screenshot check tools image sbom lock minio format clean

help: ## list the targets
	@echo "ARGS='…' passes arguments on: make run ARGS='--set trainer.epochs=5', make test ARGS=tests/pipeline/test_settings.py"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 16

run: $(READY) ## run the pipeline on this machine; the default is the built-in sample
	@$(BIN)/python local_runner.py $(ARGS)

test: lint ## run lint, then the test suite
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(READY) ## check style, import direction and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

stack:
	@$(PYTHON) -c '' 2>/dev/null || \
	  { echo "Expected a Python interpreter, received '$(PYTHON)'. Install python3, or: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(CHOOSE) >/dev/null

bench: $(READY) ## measure speed and memory
	@$(BIN)/python -m benchmarks

kubeflow-proof: $(READY) ## run Kubeflow Pipelines' own compiler on the compiled pipelines (needs git and Go)
	@TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -W ignore -m tests.kubeflow.proof $(ARGS)

tensorboard: $(READY) ## show the trainings in TensorBoard (LOGS=runs/artifacts)
	@$(BIN)/tensorboard --logdir $(LOGS) --host 127.0.0.1

inspect: $(READY) ## list the runs; ARGS='show latest' passes another command to python -m lineage
	@$(BIN)/python -m lineage $(or $(ARGS),runs)

# The screenshot in the README. It omits the page's head, which contains local paths. As root, Chromium needs --no-sandbox.
screenshot: $(READY) ## save a screenshot of the latest run's report as docs/report.png (needs chromium)
	$(BIN)/python -m lineage report latest --to build/report
	chromium --headless $(if $(filter 0,$(shell id -u)),--no-sandbox) --hide-scrollbars --window-size=1000,1300 \
	  --screenshot=docs/report.png "file://$(CURDIR)/build/report/report.html" 2>build/report/chromium.log
	$(BIN)/python -c "from PIL import Image; \
	  Image.open('docs/report.png').crop((0, 270, 1000, 1120)).quantize(48).save('docs/report.png', optimize=True)"

check: stack tools ## check the requirements of the set-up; installs nothing

tools:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is needed. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@command -v $(CXX) >/dev/null || \
	  { echo "A C++ compiler is needed (pyfarmhash has no wheel). On Debian: apt-get install g++" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || \
	  { echo "Python's headers are needed (pyfarmhash has no wheel). On Debian: apt-get install python3-dev" >&2; exit 1; }

# wildcard: if no stack fits, the lock does not exist, and `stack` prints why
$(LOCKED): $(wildcard requirements/lock-$(CHOSEN).txt requirements/dev-$(CHOSEN).txt) requirements/uv.txt | stack
	@$(MAKE) --no-print-directory tools
	@echo "Setting up $(VENV): one download of about 1 GB, then a minute of byte-compiling."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --no-deps --require-hashes \
	  -r requirements/lock-$(CHOSEN).txt -r requirements/dev-$(CHOSEN).txt
	@touch $@

$(READY): $(LOCKED) setup.py pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# PyTorch's wheel depends on NVIDIA's libraries (5 GB), so it gets a separate environment.
bench-pytorch: $(READY) ## compare the speed with PyTorch; downloads 5 GB
	@$(PYTHON) -m venv .venv-pytorch
	@$(BIN)/uv pip install --quiet --python .venv-pytorch/bin/python --require-hashes -r requirements/pytorch.txt
	@$(BIN)/python -m benchmarks.pytorch

# pipeline/cluster/container_images.py uses the same tag.
TAG = $(shell git rev-parse --short=12 HEAD)$(patsubst %,-%,$(filter-out cpu,$(TARGET)))
image: ## build a container image; needs IMAGE=REGISTRY/NAME, accepts TARGET=cpu, gpu or tpu
	@test -n "$(IMAGE)" || { echo "Name the image: make image IMAGE=REGISTRY/NAME TARGET=cpu (or gpu, tpu)" >&2; exit 1; }
	@case "$(IMAGE)" in *.*/*|*:*/*|localhost/*) ;; *) \
	  echo "Name the image with its registry, for example IMAGE=docker.io/$(IMAGE)" >&2; exit 1;; esac
	@test -z "$$(git status --porcelain)" || { echo "Commit or stash the changes first: the image is named by its commit" >&2; exit 1; }
	docker build --target $(TARGET) --build-arg COMMIT=$(shell git rev-parse HEAD) --build-arg SOURCE \
	  --build-arg DEBIAN=$(if $(filter tpu,$(TARGET)),trixie,bookworm) --tag $(IMAGE):$(TAG) .
	@echo "next: docker push $(IMAGE):$(TAG)"

sbom: $(READY) ## list the packages of the image cpu and their licences in build/sbom (needs Python 3.11)
	@$(BIN)/uv venv --quiet --clear --python 3.11 build/sbom/environment
	@$(BIN)/uv pip sync --quiet --python build/sbom/environment --require-hashes requirements/cpu.txt
	@$(BIN)/cyclonedx-py environment build/sbom/environment --output-file build/sbom/cpu.cdx.json
	@$(BIN)/pip-licenses --python build/sbom/environment/bin/python --with-urls --format markdown --output-file build/sbom/licences.md
	@rm -r build/sbom/environment

COMPILE := ../$(BIN)/uv pip compile --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header --quiet
UNUSED := --override unused.in
OLD := $(COMPILE) --python-platform x86_64-manylinux_2_28
NEW := $(COMPILE) --universal

lock: $(READY) ## resolve all versions again and write requirements/*.txt
	cd requirements && for name in lock-old gpu; do $(OLD) $$name.in $(UNUSED) --output-file $$name.txt || exit; done
	cd requirements && for name in uv pytorch; do $(OLD) $$name.in --output-file $$name.txt || exit; done
	cd requirements && $(OLD) cpu.in $(UNUSED) --override other-tensorflow.in --output-file cpu.txt
	cd requirements && $(NEW) lock-new.in $(UNUSED) --output-file lock-new.txt
	cd requirements && $(COMPILE:3.11=3.13) --python-platform x86_64-manylinux_2_40 tpu.in $(UNUSED) --override other-tensorflow.in \
	  --output-file tpu.txt
	cd requirements && $(NEW) tpu-check.in --output-file tpu-check.txt
	cd requirements && $(OLD) dev.in $(UNUSED) --constraints lock-old.txt --output-file dev-old.txt
	cd requirements && $(NEW) dev.in $(UNUSED) --constraints lock-new.txt --output-file dev-new.txt

minio: $(READY) ## build MinIO, a server for some tests (needs Go; takes some minutes)
	@$(BIN)/python -m tests.helpers.minio

format: $(READY) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv, build files and tool caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
