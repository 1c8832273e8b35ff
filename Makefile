# Needs a Python >= 3.11, GNU make >= 3.81 and nothing else. Everything goes into ./.venv
# (the peers of bench-stats into ./.venv-peers).
#
#   make demo ARGS="--data x.csv --target y"    arguments for the command behind a target
#   make demo PYTHON=/path/to/python3           another Python (after `make clean`)

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test test-dialects coverage check spark frameworks format bench bench-assignment bench-bandits bench-credit bench-registry bench-stats lock clean absent
.NOTPARALLEL: # one environment: two pips at once would race

# Paths are relative: make cannot name a target with a space in it.
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The sets are complete; asked for dependencies, older pips look beyond the pins where one has an extra.
INSTALL := $(PIP) install --no-deps --require-hashes --only-binary :all:
NO_WHEEL := { echo "If a pinned wheel is missing: README.md lists the supported platforms." >&2; exit 1; }
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
      --no-emit-index-url --no-annotate --custom-compile-command "make lock"
# gbstats asks for numpy 1 and pandas 1, which have no wheels for what Palio needs, and runs on these.
PEERS_NEWER := 'numpy>=2.4' 'pandas>=2.3,<3'

help: ## list the targets
	@echo "Usage: make TARGET [ARGS=\"...\"]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

demo: .venv/.runtime .venv/.project ## run the main job on a built-in example, from models to a decision
	@$(BIN)/palio demo $(ARGS)

test: .venv/.test .venv/.project ## run the tests
	@$(BIN)/python -m pytest $(ARGS)

test-dialects: .venv/.test .venv/.project ## run the tests of the contracts of other systems, a part of `test`
	@$(BIN)/python -m pytest tests/dialects $(ARGS)

coverage: .venv/.test .venv/.project ## run the tests of palio.stats, which must reach every branch
	@$(BIN)/python -m coverage run --branch --source=palio.stats -m pytest \
	    tests/stats src/palio/stats $(ARGS)
	@$(BIN)/python -m coverage report --fail-under=100 --show-missing --skip-covered

spark: .venv/.spark ## install PySpark, 450 MB, for the tests that also run on it where Java is there

frameworks: .venv/.torch ## install PyTorch, TensorFlow and MLflow, 2.4 GB, for the tests of their flavors

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

# The peers bring what Palio does without, so they have an environment of their own.
bench-assignment: .venv-peers/.peers ## run the assignment beside GrowthBook's
	@PYTHONPATH=src .venv-peers/bin/python benchmarks/assignment/beside_growthbook.py $(ARGS)

bench-bandits: .venv-peers/.peers ## run the bandits beside river's and mabwiser's
	@PYTHONPATH=src .venv-peers/bin/python benchmarks/bandits/beside_river.py $(ARGS)

bench-credit: .venv/.test .venv/.project ## replay the credit data by three designs of an experiment
	@$(BIN)/python benchmarks/experiments/credit.py $(ARGS)

bench-registry: .venv-peers/.peers ## run the registry beside MLflow's
	@MLFLOW_DISABLE_TELEMETRY=true PYTHONWARNINGS=ignore PYTHONPATH=src \
	    .venv-peers/bin/python benchmarks/registry/beside_mlflow.py $(ARGS)

bench-stats: .venv-peers/.peers ## run the statistics beside their peers
	@PYTHONPATH=src .venv-peers/bin/python benchmarks/stats/run.py $(ARGS)

# What is pinned stays unless pyproject.toml asks otherwise; `make lock ARGS=--upgrade` renews.
lock: .venv/.lock ## pin what pyproject.toml asks for in requirements/
	$(UV) $(ARGS) pyproject.toml -o requirements/runtime.txt
	$(UV) $(ARGS) pyproject.toml --group test -c requirements/runtime.txt -o requirements/test.txt
	$(UV) $(ARGS) pyproject.toml --group check -c requirements/test.txt -o requirements/check.txt
	$(UV) $(ARGS) --group build -c requirements/check.txt -o requirements/build.txt
	$(UV) $(ARGS) --group lock -o requirements/lock.txt
	$(UV) $(ARGS) --group spark -c requirements/check.txt -o requirements/spark.txt
	$(UV) $(ARGS) pyproject.toml --group frameworks -c requirements/check.txt \
	    -o requirements/frameworks.txt
	$(UV) $(ARGS) --group spark-build -o requirements/spark-build.txt
	printf '%s\n' $(PEERS_NEWER) | $(UV) $(ARGS) pyproject.toml --group peers --override - \
	    -c requirements/runtime.txt -o requirements/peers.txt

clean: ## remove the environment, caches and reports
	rm -rf .venv .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf build dist demo-report .benchmarks .coverage
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. A stamp is newer than what was installed from it. An environment whose Python
# is gone (moved, upgraded) is made again.
.venv/.created: scripts/create-venv.sh $(shell $(BIN)/python -c pass 2>/dev/null || echo absent)
	@PYTHON="$(PYTHON)" sh scripts/create-venv.sh
	@touch $@

.venv/.runtime .venv/.test .venv/.check .venv/.lock .venv/.spark-build .venv/.frameworks: .venv/.%: requirements/%.txt .venv/.created
	@echo "Installing what $< pins into .venv"
	@$(INSTALL) -r $< || $(NO_WHEEL)
	@touch $@

.venv/.spark: requirements/spark.txt .venv/.spark-build
	@echo "Building what $< pins into .venv"
	@$(INSTALL) --no-binary pyspark --no-build-isolation --use-pep517 -r $<
	@touch $@

# PyTorch has a build for each kind of machine, and hashes with it: its version is pinned here.
.venv/.torch: .venv/.frameworks
	@echo "Installing PyTorch into .venv"
	@$(PIP) install --no-deps --only-binary :all: torch==2.13.0 || $(NO_WHEEL)
	@touch $@

# Without dependency checks, for gbstats' bounds are overridden; the set is complete all the same.
.venv-peers/.peers: requirements/peers.txt .venv/.created
	@echo "Installing what $< pins into .venv-peers"
	@$(BIN)/python -m venv --clear .venv-peers && echo '*' > .venv-peers/.gitignore
	@.venv-peers/bin/python -m pip --disable-pip-version-check install --quiet --no-deps \
	    --require-hashes --only-binary :all: -r $< || $(NO_WHEEL)
	@touch $@

# Dependencies come from the pinned sets alone, the build backend included.
.venv/.project: pyproject.toml src/palio/__init__.py requirements/build.txt .venv/.created
	@echo "Installing palio itself into .venv"
	@$(INSTALL) --quiet -r requirements/build.txt || $(NO_WHEEL)
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
