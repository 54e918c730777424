# Everything is installed into .venv, pinned by requirements.lock; what touches the machine beside it says so.
PYTHON ?= python3.11
CONFIG ?= configs/digits.yaml
RUN ?= runs/digits
VENV := .venv
BIN := $(VENV)/bin
INSTALL_LOCK := $(VENV)/install.lock
UV_VERSION := 0.13.9
CYCLONEDX_VERSION := 7.5.0
BENCHMARK_VENV := build/benchmark-venv
LATENCY_VENV := build/latency-venv
LATENCY ?=
PYTEST_FLAGS ?=
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
TORCH_VENV := build/torch-venv
TORCH_VERSION := 2.13.0
INGEST_VENV := build/ingest-venv
ENGINE ?= $(notdir $(firstword $(foreach engine,docker podman buildah,$(shell command -v $(engine)))))
REGISTRY ?=
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' metrifier_core/_version.py)
TAG ?= $(VERSION)
BASE_IMAGE ?= python:3.11-slim-bookworm
# train-gpu: with CUDA. Its image has a tag of its own, beside the image without.
TRAIN ?= train
TRAIN_TAG := $(TAG)$(if $(filter train-gpu,$(TRAIN)),-gpu)
BUILD_FLAGS ?=
IMAGE_PREFIX := $(if $(REGISTRY),$(REGISTRY)/)metrifier-
# All extras but torch, which has a build a machine.
LOCKED := train train-gpu tflite pipelines http s3 gs tfds tracking tracking-server dev
export PYTHONUTF8 := 1
# Once here, not in every process that is started where Python may not write what it compiles.
export UV_COMPILE_BYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help install run pictures realdata test lint types unit test-durations coverage browser ask-browser ingest-env test-alexnet test-torch images podman test-containers dist sbom check-tag compile ui bench-distortions bench-latency lock clean

help: ## Explain every target
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Install the project and its pinned dependencies into .venv

$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on the PATH: install Python 3.11, or name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(INSTALL_LOCK): requirements.lock setup.cfg | $(BIN)/uv
	containers/export_lock.sh $(BIN)/uv $@ train tflite pipelines tracking s3 gs tfds dev

$(VENV)/.installed: $(INSTALL_LOCK)
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes $(INSTALL_LOCK)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

run: install ## Run the whole pipeline on CONFIG (scikit-learn's digits), into runs/
	$(BIN)/python -m pipelines.local $(CONFIG)

realdata: install ## Run the whole pipeline on real ImageNet images (needs ../shared/realdata)
	$(BIN)/python -m pipelines.local tests/realdata/config.yaml

pictures: install ## Draw the README's pictures anew, one of them from RUN (make run first)
	@test -f $(RUN)/examples.png || { echo "there is no $(RUN)/examples.png: make run first" >&2; exit 1; }
	cp $(RUN)/examples.png docs/pictures/digits.png
	$(BIN)/metrifier distort sheet $(VENV)/lib/python3*/site-packages/sklearn/datasets/images/china.jpg --output docs/pictures/distortions.jpg

test: lint types ingest-env ask-browser unit ## Lint, check types and run every test but those of containers and of torch

lint: install ## Check style, formatting and which room imports which
	@git ls-files -z '*.py' '*.ipynb' | xargs -0 $(BIN)/ruff check --quiet
	@git ls-files -z '*.py' '*.ipynb' | xargs -0 $(BIN)/ruff format --quiet --check
	$(BIN)/lint-imports --no-logo

types: install ## Check types (mypy --strict)
	$(BIN)/mypy

unit: install ## Run pytest (unit, property, component, pipeline and end-to-end tests)
	$(PYTEST) $(PYTEST_FLAGS)

test-durations: PYTEST_FLAGS += --durations=50 --durations-min=1
test-durations: unit ## Run pytest and print the 50 slowest tests

coverage: install ## Measure which lines and branches the tests reach (build/coverage/html)
	rm -rf build/coverage
	$(PYTEST) --cov --cov-report=html:build/coverage/html --cov-report=term

browser: ## Install chromium for the tests in a browser, with apt-get (as root on Debian; without it they are skipped)
	@tests/browser/chromium.sh

# Of all that `make test` needs, chromium alone is not in the checkout.
ask-browser:
	@tests/browser/chromium.sh --ask

# tensorflow-io runs with an older TensorFlow than the project's.
$(INGEST_VENV)/.installed: components/ingest/requirements.lock | $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(INGEST_VENV)
	$(BIN)/uv pip sync --quiet --python $(INGEST_VENV)/bin/python --require-hashes components/ingest/requirements.lock
	@touch $@

ingest-env: $(INGEST_VENV)/.installed ## Install what decodes 16-bit colour TIFF and DICOM, into build/ingest-venv

# torch is for these tests alone, and large: it has an environment of its own.
$(TORCH_VENV)/.installed: $(INSTALL_LOCK)
	$(PYTHON) -m venv --clear $(TORCH_VENV)
	$(TORCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH_VERSION)
	$(BIN)/uv pip install --quiet --python $(TORCH_VENV)/bin/python --require-hashes --requirements $(INSTALL_LOCK)
	$(BIN)/uv pip install --quiet --python $(TORCH_VENV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

test-alexnet: $(TORCH_VENV)/.installed ## Compare AlexNet in Keras with torch, on random weights
	$(TORCH_VENV)/bin/python -m pytest -rs -s tests/core/workers/test_alexnet.py

test-torch: $(TORCH_VENV)/.installed ## Run what uses torch: data loaders, and their examples in docs/python.md
	$(TORCH_VENV)/bin/python -m pytest tests/core/scoring/test_torch_loader.py tests/docs/test_python_blocks.py

images: ## Build the images of the stages and of the server with ENGINE (docker, podman or buildah), as REGISTRY/metrifier-*:TAG
	@test -n "$(ENGINE)" || { echo "make images needs docker, podman or buildah" >&2; exit 1; }
	@for target in data train ingest serve; do \
	  case $$target in train) tag=$(TRAIN_TAG) ;; *) tag=$(TAG) ;; esac; \
	  echo "$(IMAGE_PREFIX)$$target:$$tag"; \
	  $(ENGINE) build --quiet --target $$target --tag $(IMAGE_PREFIX)$$target:$$tag $(BUILD_FLAGS) \
	    --build-arg BASE_IMAGE=$(BASE_IMAGE) --build-arg UV_VERSION=$(UV_VERSION) --build-arg TRAIN=$(TRAIN) \
	    --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git describe --always --exclude '*' --dirty --abbrev=40) . || exit 1; \
	done
	@$(ENGINE) images | grep -E "REPOSITORY|IMAGE|metrifier-(data|train|ingest|serve)[: ]"

podman: ## Install podman and what it needs, with apt-get (as root on Debian)
	@tests/containers/podman.sh

test-containers: install ## Build the images and run the pipeline in them (with Docker, or podman: make podman)
	tests/containers/run

dist: $(BIN)/uv ## Build the wheel and the source archive, into dist/
	$(BIN)/uv build --quiet --build-constraints requirements.lock --out-dir dist

sbom: $(BIN)/uv ## Write what the wheel's extras install, as CycloneDX, into dist/
	containers/export_lock.sh $(BIN)/uv build/sbom.lock $(filter-out train-gpu dev,$(LOCKED))
	@mkdir -p dist
	$(BIN)/uv tool run --quiet --from cyclonedx-bom==$(CYCLONEDX_VERSION) cyclonedx-py requirements build/sbom.lock \
	  --output-reproducible --output-file dist/metrifier-$(VERSION).cdx.json

check-tag: ## Refuse a TAG that is not v and the package's version
	@test "$(TAG)" = "v$(VERSION)" || { echo "the tag is $(TAG), the version in metrifier_core/_version.py $(VERSION)" >&2; exit 1; }

compile: install ## Write build/metrifier.yaml, what kfp submits to a cluster (IMAGE=, DIGEST=)
	$(BIN)/python -m pipelines.compile --config $(CONFIG) $(foreach image,$(IMAGE),--image $(image)) $(foreach digest,$(DIGEST),--digest $(digest)) --output build/metrifier.yaml

ui: install ## Serve the MLflow UI on the runs in RUN, and print the link to them
	@$(BIN)/python -m pipelines.ui $(RUN)

# imagecorruptions needs an older setuptools than the project has.
$(BENCHMARK_VENV)/.installed: benchmarks/requirements.txt setup.cfg | $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCHMARK_VENV)
	$(BIN)/uv pip sync --quiet --python $(BENCHMARK_VENV)/bin/python --require-hashes benchmarks/requirements.txt
	$(BIN)/uv pip install --quiet --python $(BENCHMARK_VENV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

bench-distortions: $(BENCHMARK_VENV)/.installed ## Time the distortions beside imagecorruptions and albumentations
	$(BENCHMARK_VENV)/bin/python benchmarks/distortions.py

# BRISQUE is for this comparison alone.
$(LATENCY_VENV)/.installed: benchmarks/latency.txt setup.cfg | $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LATENCY_VENV)
	$(BIN)/uv pip sync --quiet --python $(LATENCY_VENV)/bin/python --require-hashes benchmarks/latency.txt
	$(BIN)/uv pip install --quiet --python $(LATENCY_VENV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

bench-latency: $(LATENCY_VENV)/.installed ## Time the networks in every runtime beside ResNet50 and BRISQUE
	$(LATENCY_VENV)/bin/python benchmarks/latency.py $(LATENCY)

lock: $(BIN)/uv ## Pin the newest versions that setup.cfg allows
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  $(LOCKED:%=--extra %) setup.cfg --output-file requirements.lock

clean: ## Remove runs, builds and caches, not .venv
	rm -rf runs build .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
