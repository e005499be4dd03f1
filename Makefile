# Every target sets up what it needs; `make` alone prints this list.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3.10 python3,$(shell \
	$(p) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $(p))))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
E2E_IMAGES ?= /var/cache/racksalt/e2e
SLS := $(shell find states pillar salt/reactor conf -name '*.sls' 2>/dev/null)
YAML := $(wildcard states pillar conf salt/reactor .pre-commit-config.yaml)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint docs bench gen check e2e e2e-images e2e-free clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with the pinned versions (needs Python >= 3.10 and a C compiler)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python >= 3.10 with venv found; set PYTHON=/path/to/python3"; exit 1; }
	@tools/setup.sh "$(PYTHON)" $(VENV)

demo: $(STAMP) ## Eight virtual machines from power-on to ready; DEMO_EXIT=1 ends by itself
	$(BIN)/racksalt demo $(if $(DEMO_EXIT),--exit)

test: $(STAMP) ## All tests, the cheap ones first; ARGS="-k name" to choose
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/test.sh $(ARGS)

lint: $(STAMP) ## Style, types, import directions, Salt files, generated files fresh, no breaking API change
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(SLS),$(BIN)/salt-lint $(SLS))
	$(BIN)/yamllint --strict $(YAML)
	$(BIN)/python tools/gen.py --check
	$(BIN)/python tools/breaking.py

docs: $(STAMP) ## Build the documentation, warnings are errors
	$(BIN)/python -m sphinx -W -n -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(STAMP) ## Measure; prints a table and writes benchmarks/results/
	$(BIN)/python -m benchmarks $(ARGS)

gen: $(STAMP) ## Rewrite the generated files (diagram, tables, settings, CLI help, SDL)
	$(BIN)/python tools/gen.py

check: lint test docs ## lint, test and docs

e2e-images: $(STAMP) ## The images that e2e boots; as root; a second run takes seconds
	tools/install-needs.sh
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/e2e-images.sh $(E2E_IMAGES)

e2e: e2e-images ## QEMU machines from power-on to ready; as root; installs what it needs and builds images
	PATH="$(CURDIR)/$(BIN):$$PATH" RACKSALT_E2E_IMAGES=$(E2E_IMAGES)/images CI=true tools/e2e.sh $(ARGS)

e2e-free: $(STAMP) ## The tests that start no daemon (quick)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 3 --dist loadfile -m 'not daemons and not e2e' $(ARGS)

clean: ## Remove the environment and everything built
	rm -rf $(VENV) $(VENV).lock docs/_build build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis
