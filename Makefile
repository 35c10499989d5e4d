# Every job of the project. `make help` lists them; CONTRIBUTING.md spells them out for those who
# do not have make. PYTHON picks the interpreter that the virtual environments are made with.

PYTHON  ?= python3
WORKERS ?= 2
UPGRADE ?=
SCENARIOS ?=
MINUTES ?= 10
SCREENSHOTS ?=

VENV := .venv
DEMO := .venv-demo
INTEROP := .venv-interop
BIN  := $(VENV)/bin

# uv brings certificates of its own; this makes it trust what the system trusts, as a proxy may need.
export UV_SYSTEM_CERTS ?= 1

# Most tests start processes, and each would compile TensorFlow anew: 10 s where it takes 5 to import.
unexport PYTHONDONTWRITEBYTECODE

UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
              --no-header --no-emit-index-url $(UPGRADE)

PYTEST := $(BIN)/python -m pytest
# A file is one worker's, for its tests share servers; tests/support/distribution.py orders the files.
BY_FILE := --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash

.PHONY: help demo test test-long check format types layers lint-proto lint-image image-check pytest coverage venv interop perf-analyzer system \
        test-pythons test-grpcio-oldest test-browser fuzz soak bench generate monitor dashboard-types pictures stubs lock clean

help: ## list the jobs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(DEMO)/.installed ## serve the embedded model, classify a real picture, and prove one answer
	@$(DEMO)/bin/python examples/fashion_mnist/demo.py

# The steps stand in one recipe, so that they run in this order and the first failure ends the run.
test: ## everything that CI runs
	@$(MAKE) system
	@$(MAKE) check
	@$(MAKE) test-grpcio-oldest
	@$(MAKE) pytest

test-long: venv ## the searches of the properties again, with 2,000 examples each
	@echo "==> pytest: long searches"
	@$(PYTEST) --numprocesses=$(WORKERS) --dist=worksteal --hypothesis-profile=long --timeout=7200 \
	    tests/properties tests/unit

check: venv ## the linters only: ruff, mypy, import-linter, buf, hadolint
	@$(MAKE) format types layers lint-proto lint-image

format: venv
	@echo "==> ruff: format and lint"
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .

types: venv
	@echo "==> mypy --strict"
	@$(BIN)/mypy

layers: venv
	@echo "==> import-linter"
	@$(BIN)/lint-imports

lint-proto: venv
	@echo "==> buf lint"
	@$(BIN)/buf lint proto

lint-image: venv
	@echo "==> hadolint"
	@$(BIN)/hadolint server/Dockerfile

image-check: venv lint-image ## image and compose file, as far as they can be checked without an engine
	@$(MAKE) system
	@echo "==> image and compose"
	@$(PYTEST) tests/repo/test_container.py tests/system/test_health_check.py

pytest: venv interop ## the tests
	@echo "==> pytest"
	@$(PYTEST) $(BY_FILE)

coverage: venv interop ## the tests with branch coverage, which takes a third longer; 95 % are owed
	@echo "==> pytest: coverage"
	@$(PYTEST) $(BY_FILE) --cov

test-pythons: venv ## the fast tests on every Python from 3.11 to 3.13 that is found here
	@scripts/test-pythons $(BIN)/uv

test-grpcio-oldest: ## the tests of the port with the oldest grpcio that is allowed
	@scripts/test-grpcio-oldest "$(PYTHON)"

test-browser: venv ## the server's own page in Chromium; SCREENSHOTS=docs/images keeps its pictures
	@scripts/install-chromium
	@echo "==> pytest: the page in Chromium"
	@SCREENSHOTS="$(SCREENSHOTS)" $(PYTEST) --timeout=300 tests/browser

venv: $(VENV)/.installed ## the development environment, in .venv

interop: $(INTEROP)/.installed ## the stock clients of Triton and TensorFlow Serving, in .venv-interop

perf-analyzer: interop $(INTEROP)/perf-analyzer/run ## Triton's load generator, in .venv-interop/perf-analyzer

system:
	@scripts/install-system-packages

# pip installs uv by hash; uv installs everything else by hash; the project itself comes last.
$(VENV)/.installed: requirements/build.txt requirements/dev.txt pyproject.toml
	@scripts/make-venv "$(PYTHON)" $(VENV) requirements/dev.txt
	@touch $@

$(DEMO)/.installed: requirements/build.txt requirements/cpu.txt pyproject.toml
	@scripts/make-venv "$(PYTHON)" $(DEMO) requirements/cpu.txt
	@touch $@

# tensorflow-serving-api asks for tensorflow, of which tensorflow-cpu is the part that it needs.
$(INTEROP)/.installed: requirements/build.txt requirements/interop.txt
	@scripts/make-venv "$(PYTHON)" $(INTEROP) requirements/interop.txt
	@touch $@

$(INTEROP)/perf-analyzer/run: requirements/perf-analyzer.txt scripts/install-perf-analyzer
	@rm -rf $(@D)
	@scripts/install-perf-analyzer $(INTEROP)/bin/python $(@D)
	@touch $@

fuzz: venv ## the fuzzing again and again with other examples; MINUTES=60 says for how long, 10 by default
	@scripts/fuzz $(BIN)/python "$(MINUTES)"

soak: venv ## a server under mixed callers, good and bad; MINUTES=60; prints what it lost and how it grew
	@$(BIN)/python benchmarks/soak.py --minutes "$(MINUTES)"

bench: venv ## the benchmarks, about 40 minutes; SCENARIOS="a e" measures some again; makes docs/performance.md
	@$(BIN)/python benchmarks/run.py --scenarios "$(SCENARIOS)"

pictures: venv deploy/grafana/drawing/build/draw.js ## draw the dashboards with Grafana's components; MINUTES of traffic, 10 by default
	@scripts/install-chromium
	@$(BIN)/python deploy/draw_dashboards.py --minutes "$(MINUTES)"

deploy/grafana/drawing/build/draw.js: deploy/grafana/drawing/draw.jsx deploy/grafana/drawing/package-lock.json
	@cd $(dir $<) && npm ci --no-audit --no-fund --ignore-scripts && npm run build

dashboard-types: ## the dashboards as values of the types of Grafana's schema, by tsc; npm, 26 MB
	@echo "==> tsc: dashboards"
	@cd deploy/grafana/types && npm ci --silent --no-audit --no-fund --ignore-scripts && npm run --silent check

monitor: venv ## a server, Prometheus and traffic that drifts, until Ctrl-C
	@$(BIN)/python deploy/monitor.py

generate: venv ## write the rules, the dashboards and the schemas of certificate and profile again
	@$(BIN)/python deploy/generate.py

stubs: venv ## generate the stubs from proto/ again
	@PYTHON=$(BIN)/python proto/generate

lock: venv ## resolve requirements/ again; UPGRADE=--upgrade moves every pin to its newest
	@echo "==> uv pip compile"
	@$(UV_COMPILE) --group build --output-file requirements/build.txt
	@$(UV_COMPILE) --group stubs --output-file requirements/stubs.txt
	@$(UV_COMPILE) pyproject.toml --extra cpu --extra load --extra otel --output-file requirements/cpu.txt
	@$(UV_COMPILE) pyproject.toml --extra openvino --extra otel --constraint requirements/cpu.txt \
	    --output-file requirements/openvino.txt
	@$(UV_COMPILE) pyproject.toml --extra cpu --extra object-store --extra otel --extra pictures --extra plots --extra load --group dev --constraint requirements/cpu.txt \
	    --constraint requirements/build.txt --output-file requirements/dev.txt
	@$(UV_COMPILE) pyproject.toml --group interop --override requirements/interop.overrides \
	    --constraint requirements/build.txt --output-file requirements/interop.txt
	@$(UV_COMPILE) pyproject.toml --extra server --extra load --extra object-store --extra otel --group dev \
	    --override requirements/grpcio-oldest.overrides --constraint requirements/build.txt \
	    --output-file requirements/grpcio-oldest.txt

clean: ## remove what was built, and the virtual environments
	@rm -rf $(VENV) $(DEMO) $(INTEROP) build dist htmlcov .coverage .coverage.* .hypothesis .pytest_cache \
	    .mypy_cache .ruff_cache .import_linter_cache
	@find proto server client tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +
