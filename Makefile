# One runner for people and for CI. From a bare checkout: `make run`.

PYTHON ?= python3
VENV ?= $(if $(filter python3,$(PYTHON)),.venv,.venv-$(patsubst python%,%,$(notdir $(PYTHON))))

PY := $(VENV)/bin/python
# Named after the lock's checksum, so that a changed lock installs and an unchanged one does not.
INSTALLED := $(VENV)/.installed-$(shell cksum requirements.lock | cut -d ' ' -f 1)

# What the deployment check assumes: a site behind a proxy that ends TLS.
PRODUCTION = HTTPS=1 DEBUG=0 ALLOWED_HOSTS=chat.example.com \
	CSRF_TRUSTED_ORIGINS=https://chat.example.com \
	SECRET_KEY="$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(64))')"

# Tests often wait, so three processes share the whole suite, on two cores too. What is named in ARGS
# runs in one.
SHARES = $(if $(ARGS),,-n 3 --dist loadfile)

.DEFAULT_GOAL := help
.PHONY: help run chat test test-faults test-fast test-libraries check bench bench-peers bench-quick assets setup fix clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: assets ## Start the chat on http://127.0.0.1:8000 (PORT=, HOST=)
	@exec $(PY) manage.py start $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)")

chat: setup ## Chat in this terminal, on the running site (ARGS="--user ada")
	@exec $(PY) manage.py chat $(ARGS)

test: assets ## Run all tests (ARGS="tests/test_start.py -x")
	@$(PY) -m pytest $(SHARES) $(ARGS)

test-faults: setup ## Run the fault suite whole: both stores, hundreds of kills
	@FAULTS=full $(PY) -m pytest -m "" tests/faults tests/guarantees $(ARGS)

test-fast: setup ## Run the tests that need no browser
	@$(PY) -m pytest --ignore=tests/browser $(ARGS)

# What runs the site as other processes says little about the versions of libraries.
test-libraries: setup ## Run the tests that say whether other versions of libraries will do
	@$(PY) -m pytest --ignore=tests/browser --ignore=tests/faults --ignore=tests/guarantees \
		--ignore=tests/eventlog/test_postgres.py --ignore=tests/test_rolling_restart.py \
		--ignore=tests/clients --ignore=tests/terminal $(SHARES) $(ARGS)

check: setup ## Lint, types, layers, migrations, deployment settings, lock files
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports
	@$(PY) manage.py makemigrations --check --dry-run
	@$(PRODUCTION) $(PY) -W ignore manage.py check --deploy --fail-level WARNING
	@! grep -n '://' requirements.lock || { echo 'requirements.lock must hold no address.'; exit 1; }
	@! grep -n '"resolved"' package-lock.json tests/clients/package-lock.json || { echo 'package-lock.json must name no registry.'; exit 1; }

bench: setup ## Measure cost per token and per reader; writes bench/results.md
	@$(PY) -m bench --write $(ARGS)

bench-quick: setup ## The same, short
	@$(PY) -m bench --quick $(ARGS)

bench-peers: setup ## Install the peers that need an environment of their own, under .bench
	@$(PY) -m bench.peers.environments

# The chat works without its scripts, so a machine without npm still runs it.
assets: setup ## Build the page's scripts
	@$(PY) scripts/build_assets.py || echo "The page's scripts were not built (see above)."

setup: $(INSTALLED) ## Make the virtual environment

fix: setup ## Format, and repair what the linter can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

clean: ## Remove what was built; keeps the data folder
	@rm -rf .venv .venv-* .bench node_modules chat/static/chat/dist dist
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "$(PYTHON) was not found. Install Python 3.11 or newer, or name one: make run PYTHON=python3.13"; \
		exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$("$(PYTHON)" -V 2>&1). Name a newer one: make run PYTHON=python3.13"; \
		exit 1; }
	@test -x $(PY) || "$(PYTHON)" -m venv $(VENV)
	@echo "Installing into $(VENV) …"
	@$(PY) -m pip install -qq --disable-pip-version-check --no-input --require-hashes -r requirements.lock
	@rm -f $(VENV)/.installed-*
	@touch $@
