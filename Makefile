# Two commands for most people: `make bench` and `harness report`. `make help` lists the rest.

PYTHON ?= python3
GPU ?= auto
MATRIX ?= matrices/bench.yaml
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help bench install local dev test test-all test-unit check format benchmarks clean

help: ## Show what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
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
	$(PIP) -e ".[$$(command -v nvidia-smi >/dev/null && echo local-gpu || echo local)]"

dev: $(DEV_STAMP) ## Make .venv with the tools for development.

$(DEV_STAMP): $(STAMP)
	$(PIP) -e '.[dev]'
	@touch $@

test: $(DEV_STAMP) ## Run every test this machine allows, and say what was skipped and why.
	$(BIN)/pytest

test-all: $(DEV_STAMP) ## Run every test, the harness killed at 50 points among them; keeps docs/faults.log.
	HARNESS_KILLS=50 HARNESS_KILL_LOG=docs/faults.log $(BIN)/pytest

test-unit: $(DEV_STAMP) ## Run the fast tests, which need nothing.
	$(BIN)/pytest tests/unit

check: $(DEV_STAMP) ## Style, types, layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP) ## Put the code into its style.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: $(DEV_STAMP) ## Measure the harness itself, as ratios against the bare tool.
	@failed=0; for name in noop_case sleeping_case training_loop first_step_model_b quick_against_full comparison_verdicts expand_20k campaign_scale report_20k; do \
	  $(BIN)/python benchmarks/$$name.py || failed=1; done; exit $$failed

clean: ## Remove what the project made here; results stay.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
