# Needs a Python >= 3.11, GNU make >= 3.81 and nothing else. Everything goes into ./.venv.
#
#   make demo ARGS="--data x.csv --target y"    arguments for the command behind a target
#   make demo PYTHON=/path/to/python3           another Python (after `make clean`)

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check format bench lock clean absent
.NOTPARALLEL: # one environment: two pips at once would race

# Paths are relative: make cannot name a target with a space in it.
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --require-hashes --only-binary :all:
NO_WHEEL := { echo "If a pinned wheel is missing: README.md lists the supported platforms." >&2; exit 1; }
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
      --no-emit-index-url --no-annotate --custom-compile-command "make lock"

help: ## list the targets
	@echo "Usage: make TARGET [ARGS=\"...\"]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' Makefile

demo: .venv/.runtime .venv/.project ## run the main job on a built-in example, from models to a decision
	@$(BIN)/palio demo $(ARGS)

test: .venv/.test .venv/.project ## run the tests
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/.check .venv/.project ## format, lint, strict types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

format: .venv/.check ## rewrite the code in the house's format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: .venv/.test .venv/.project ## run the benchmarks
	@$(BIN)/python benchmarks/run.py $(ARGS)

# What is pinned stays unless pyproject.toml asks otherwise; `make lock ARGS=--upgrade` renews.
lock: .venv/.lock ## pin what pyproject.toml asks for in requirements/
	$(UV) $(ARGS) pyproject.toml -o requirements/runtime.txt
	$(UV) $(ARGS) pyproject.toml --group test -c requirements/runtime.txt -o requirements/test.txt
	$(UV) $(ARGS) pyproject.toml --group check -c requirements/test.txt -o requirements/check.txt
	$(UV) $(ARGS) --group build -c requirements/check.txt -o requirements/build.txt
	$(UV) $(ARGS) --group lock -o requirements/lock.txt

clean: ## remove the environment, caches and reports
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf build dist demo-report .benchmarks
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. A stamp is newer than what was installed from it. An environment whose Python
# is gone (moved, upgraded) is made again.
.venv/.created: scripts/create-venv.sh $(shell $(BIN)/python -c pass 2>/dev/null || echo absent)
	@PYTHON="$(PYTHON)" sh scripts/create-venv.sh
	@touch $@

.venv/.runtime .venv/.test .venv/.check .venv/.lock: .venv/.%: requirements/%.txt .venv/.created
	@echo "Installing what $< pins into .venv"
	@$(INSTALL) -r $< || $(NO_WHEEL)
	@touch $@

# Dependencies come from the pinned sets alone, the build backend included.
.venv/.project: pyproject.toml src/palio/__init__.py requirements/build.txt .venv/.created
	@echo "Installing palio itself into .venv"
	@$(INSTALL) --quiet -r requirements/build.txt || $(NO_WHEEL)
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
