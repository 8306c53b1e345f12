# Paths are relative and programs run as `python -m`: the folder's own path may hold spaces.
PYTHON ?= python3
IN_VENV := .venv/bin/python
COMPILE := $(IN_VENV) -m uv --quiet pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
LOCKED := deploy/requirements

.DEFAULT_GOAL := help
.PHONY: help run demo test gate lint types alembic-check bench lock setup setup-all

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: setup ## Set up, then run the whole system in the foreground (PAO_HTTP_PORT, PAO_DATA_DIR; Ctrl-C stops it)
	@exec $(IN_VENV) -m deploy.local

demo: setup ## Schedule some tasks on the running system and watch them (PAO_DEMO_SECONDS)
	@exec $(IN_VENV) -m deploy.local.demo

test: setup-all ## Set up, then run the whole test suite (ARGS="-k name")
	$(IN_VENV) -m pytest -n auto --dist worksteal $(ARGS)

gate: lint types alembic-check ## What .ci/run checks after the tests

lint: setup-all ## Style, format, import contracts
	$(IN_VENV) -m ruff check
	$(IN_VENV) -m ruff format --check
	$(IN_VENV) -c 'import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())'

types: setup-all ## mypy --strict over everything
	$(IN_VENV) -m mypy

alembic-check: setup-all ## The migrations make exactly what the models describe
	$(IN_VENV) -m deploy.local.with_postgres sh -c '$(IN_VENV) -m shared.migrations && $(IN_VENV) -m shared.migrations check'

bench: setup-all ## Measure (ONLY="materialise", QUICK=1; see tests/bench)
	$(IN_VENV) -m tests.bench $(ARGS)

lock: setup-all ## Make the hash-locked requirements again (UPGRADE=--upgrade for newer versions)
	$(COMPILE) $(UPGRADE) --all-extras -o $(LOCKED)/all.txt
	for extra in gateway scheduler executor local dev; do \
		$(COMPILE) --extra $$extra -c $(LOCKED)/all.txt -o $(LOCKED)/$$extra.txt || exit 1; \
	done
	echo uv | $(IN_VENV) -m uv --quiet pip compile - --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE) -o $(LOCKED)/uv.txt

setup:
	@$(PYTHON) deploy/local/install.py run

setup-all:
	@$(PYTHON) deploy/local/install.py all
