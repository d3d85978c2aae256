# Everything a newcomer needs: `make dev` and `make test`. Only Python >= 3.11 and make have to be there.
PYTHON ?= python3
ARGS   ?=
WORKERS ?= 3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq

# LOCKED: what requirements.lock names is installed. STAMP: engage itself is too; it holds the folder where that was.
LOCKED := $(VENV)/.locked
STAMP  := $(VENV)/.installed

# Empty where .venv must be made anew: never finished, moved with its folder, or made by a Python that is gone.
WHOLE   = $(shell [ "$$(cat $(STAMP) 2>/dev/null)" = "$(CURDIR)" ] && $(BIN)/python -c '' 2>/dev/null && echo yes)

.PHONY: help install dev test lint check prove bench conformance fuzz schema migrations format lock clean rebuild
.NOTPARALLEL:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv and install what requirements.lock names

dev: install ## start everything and print where it is (ARGS="--port 8001 --data-dir other")
	@exec $(BIN)/engage dev $(ARGS)

test: install ## run all tests on embedded services (ARGS="-k ledger", WORKERS=0 for one process)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: install ## format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The schema, migrations, lock files and deploy files are held to their promises by tests.
check: lint test ## all that has to pass before a change lands (`make test check` runs the tests once)

prove: install ## the long profile of the tests: kill -9 rounds, long property runs
	$(BIN)/python -m pytest -m "long or not long" --hypothesis-profile=long -o faulthandler_timeout=1800 $(ARGS)

bench: install ## measure ratios against references in the same run (ARGS="spend profile")
	$(BIN)/python -m bench $(ARGS)

conformance: install ## run the audits and reference clients of npm against it (needs Node.js 20)
	$(BIN)/python -m tests.conformance $(ARGS)

fuzz: install ## send 2,000 generated operations to a running engage (ARGS="--cases 20000")
	$(PIP) install --require-hashes -r tests/fuzz/requirements.lock
	$(BIN)/python -m tests.fuzz $(ARGS)

schema: install ## write schema.graphql anew
	$(BIN)/engage schema > schema.graphql.new
	@mv schema.graphql.new schema.graphql

migrations: install ## write the SQL of migrations that are new
	$(BIN)/python -m engage.migrations

format: install ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
lock: install ## write the lock files anew from pyproject.toml (ARGS="--upgrade")
	$(LOCK) $(ARGS) --extra embedded --extra dev pyproject.toml -o requirements.lock
	$(LOCK) $(ARGS) --constraint requirements.lock pyproject.toml -o deploy/requirements.lock
	$(LOCK) $(ARGS) --constraint requirements.lock --extra fuzz pyproject.toml -o tests/fuzz/requirements.lock
	echo hatchling | $(LOCK) $(ARGS) --constraint requirements.lock - -o deploy/build.lock

clean: ## remove the virtual environment and the development data
	rm -rf $(VENV) .engage

rebuild:

$(LOCKED): requirements.lock $(if $(WHOLE),,rebuild)
	$(if $(WHOLE),,@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "engage needs Python 3.11 or later; name one: make PYTHON=python3.12")')
	$(if $(WHOLE),,$(PYTHON) -m venv --clear $(VENV))
	$(PIP) install --require-hashes -r requirements.lock
	@touch $(LOCKED)

$(STAMP): $(LOCKED) pyproject.toml
	$(PIP) install --no-deps --no-build-isolation -e .
	@echo "$(CURDIR)" > $(STAMP)
