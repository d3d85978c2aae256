# Everything a newcomer needs: `make dev` and `make test`. Only Python >= 3.11 and make have to be there.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=

.PHONY: dev install test check bench prove lock schema format clean help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "engage needs Python 3.11 or later; name one with make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

install: $(STAMP) ## make .venv and install what requirements.lock names

dev: install ## start everything and print where it is (ARGS="--port 8001 --data-dir other")
	@exec $(BIN)/engage dev $(ARGS)

test: install ## run all tests on embedded services (ARGS="-k ledger")
	$(BIN)/python -m pytest $(ARGS)

check: install ## format, lint, types, import contracts, schema, migrations, lock files, deploy files, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q $(ARGS)

prove: install ## the long profile of the tests: kill -9 rounds, long property runs
	$(BIN)/python -m pytest -m "long or not long" --hypothesis-profile=long $(ARGS)

bench: install ## measure ratios against references in the same run (ARGS="spend profile")
	$(BIN)/python -m bench $(ARGS)

schema: install ## write schema.graphql anew
	$(BIN)/engage schema > schema.graphql

format: install ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
lock: ## write the lock files anew from pyproject.toml
	$(LOCK) --extra embedded --extra dev pyproject.toml -o requirements.lock
	$(LOCK) --constraint requirements.lock pyproject.toml -o deploy/requirements.lock

clean: ## remove the virtual environment and the development data
	rm -rf $(VENV) .engage
