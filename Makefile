# The two commands of a fresh machine are `make demo` and `make test`. All that is needed is Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

.PHONY: install
install: $(STAMP) ## Set up .venv with the locked dependencies

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: demo
demo: $(STAMP) ## See it at work: a real Kafka, a simulated marketplace, a worker
	$(BIN)/flagged-products demo

.PHONY: test
test: $(STAMP) ## All tests, those on a real broker included
	$(PYTEST)

.PHONY: unit
unit: $(STAMP) ## Tests that need no broker: unit, property, contract
	$(PYTEST) -m "not integration and not chaos"

.PHONY: integration
integration: $(STAMP) ## Tests on a real broker, which they start themselves
	$(PYTEST) -m integration

.PHONY: chaos
chaos: $(STAMP) ## Faults on real workers and a real broker, with a table of what was survived
	$(PYTEST) -m chaos --thorough

.PHONY: simulation
SEEDS ?= 10000
simulation: $(STAMP) ## Simulate faults over the flush protocol; SEEDS=10000
	$(BIN)/python -m streams.testing.simulation --seeds $(SEEDS)

.PHONY: fuzz
FUZZ_SECONDS ?= 60
fuzz: $(STAMP) ## Fuzz the codecs, each for FUZZ_SECONDS=60 (needs atheris, see tests/fuzz)
	@for target in inputs rows meta; do \
		$(BIN)/python tests/fuzz/fuzz_codecs.py $$target -max_total_time=$(FUZZ_SECONDS) || exit; done

.PHONY: bench
ONLY ?=
RUNS ?=
QUICK ?=
PEER ?=
OUT ?= .data/benchmarks.json
bench: $(STAMP) ## Measure all of benchmarks/; ONLY=throughput RUNS=1 QUICK=1 PEER=DIR OUT=FILE
	$(BIN)/python -m benchmarks $(ONLY) --out $(OUT) \
		$(if $(RUNS),--runs $(RUNS)) $(if $(QUICK),--quick) $(if $(PEER),--peer $(PEER))

.PHONY: lint
lint: $(STAMP) ## Style, types, and which way imports point
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: docs
docs: $(STAMP) ## Make the generated pages anew
	$(BIN)/python -m streams.settings_docs > docs/SETTINGS.md
	$(BIN)/python -m streams.web.openapi > schemas/openapi.json

.PHONY: lock
lock: ## Lock the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra embedded --extra serve --group dev pyproject.toml -o requirements.lock

.PHONY: clean
clean: ## Remove the environment and what tools leave behind
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
