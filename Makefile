# Two commands for most people: `make bench` and `harness report`. `make help` lists the rest.

PYTHON ?= python3
GPU ?= auto
MATRIX ?= matrices/bench.yaml
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
OF_GPU = $$(command -v nvidia-smi >/dev/null && echo -gpu)
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help bench install local local-jax local-torch dev test test-all test-unit check format benchmarks clean

help: ## Show what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Settings: GPU=auto|cpu|INDEX|UUID  MATRIX=matrices/bench.yaml  PYTHON=python3"

bench: $(STAMP) ## Measure MATRIX on GPU; installs what is missing first.
	$(BIN)/harness matrix $(MATRIX) --gpu $(GPU)

install: $(STAMP) ## Make .venv; adds TensorFlow where no container engine answers.

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "needs Python 3.10 or later: make PYTHON=python3.12"; exit 3; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@$(BIN)/python -c 'from harness.runtimes.engine import connect; connect()' 2>/dev/null || { \
	  echo "no container engine answers: adding TensorFlow to $(VENV), for --runtime local"; \
	  $(MAKE) --no-print-directory local; }
	@touch $@

local: ## Add TensorFlow to .venv, for measuring without a container.
	$(PIP) -e ".[local$(OF_GPU)]"

local-jax: ## Make .venv-jax, an interpreter for --python.
local-torch: ## Make .venv-torch, an interpreter for --python.
local-jax local-torch:
	$(PYTHON) -m venv .venv-$(@:local-%=%)
	.venv-$(@:local-%=%)/bin/pip install --quiet --disable-pip-version-check -e ".[$@$(OF_GPU)]"

dev: $(DEV_STAMP) ## Make .venv with the tools for development.

$(DEV_STAMP): $(STAMP)
	$(PIP) -e '.[dev,ray]'
	@touch $@

test: $(DEV_STAMP) ## Run every test this machine allows, and say what was skipped and why.
	$(BIN)/pytest

test-all: $(DEV_STAMP) ## Run every test, the harness killed at 50 points among them; keeps docs/faults.log.
	HARNESS_KILLS=50 HARNESS_KILL_LOG=docs/faults.log $(BIN)/pytest

test-unit: $(DEV_STAMP) ## Run the fast tests, which need nothing.
	$(BIN)/pytest tests/unit

check: $(DEV_STAMP) ## Style, types, layers, Dockerfiles.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/*.Dockerfile

format: $(DEV_STAMP) ## Put the code into its style.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: $(DEV_STAMP) ## Measure the harness itself, as ratios against the bare tool.
	@failed=0; for name in noop_case sleeping_case training_loop first_step_model_b quick_against_full scripted_traces comparison_verdicts expand_20k campaign_scale fleet_scale report_20k classify_logs loud_container telemetry_cost; do \
	  $(BIN)/python benchmarks/$$name.py || failed=1; done; exit $$failed

clean: ## Remove what the project made here; results stay.
	rm -rf $(VENV) .venv-jax .venv-torch .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
