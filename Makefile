# porchflow: set-up, the embedded stack, tests. `make` lists the targets.
#
# Dependencies are pinned with hashes in requirements.lock (to run) and requirements-dev.lock (to develop as well), both
# made from pyproject.toml by `make lock`. The virtual environment is made from requirements-dev.lock.

PYTHON ?= python3
MVN ?= mvn
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
STATE := $(or $(PORCHFLOW_STATE_DIR),.porchflow)
CACHE := $(or $(PORCHFLOW_CACHE_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/porchflow)
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header
UP_FLAGS ?=
DEMO_FLAGS ?=
BENCH_FLAGS ?=
SOAK_FLAGS ?=
PYTEST_FLAGS ?=
# Each has servers of its own. 0 runs the tests in one process.
TEST_WORKERS ?= 2
FUZZ_FLAGS ?=
PACKAGES ?= --help
DOCS ?= serve

.DEFAULT_GOAL := help
.PHONY: help demo up down status test test-browser check unit bench soak docs fuzz conformance jgit toolchain lock clean cluster cluster-down test-cluster

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | awk -F'|' '{ printf "make %-13s %s\n", $$1, $$2 }'

demo: toolchain ## Start everything and take a sample package from nothing to Published
	@$(BIN)/porchflow demo $(DEMO_FLAGS)

up: toolchain ## Run the stack in the foreground (UP_FLAGS="--detach --api-port 0 ...")
	@$(BIN)/porchflow up $(UP_FLAGS)

down: $(INSTALLED) ## Stop the stack; its state is kept
	@$(BIN)/porchflow down

status: $(INSTALLED) ## Show what runs and which objects need attention
	@$(BIN)/porchflow status

test: check toolchain ## Static checks, then all tests on real servers (PYTEST_FLAGS="-k word ..." TEST_WORKERS=0)
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile $(PYTEST_FLAGS)

check: $(INSTALLED) ## Static checks only: format, lint, types, imports between rooms, generated files
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/basedpyright > $(VENV)/pyright.log || { cat $(VENV)/pyright.log; exit 1; }
	@$(BIN)/lint-imports --no-cache > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }
	@$(BIN)/python -m porchflow.api.crd --check
	@$(BIN)/python -m porchflow.api.admission --check
	@$(BIN)/python -m porchflow.functions.proto.generate --check
	@$(BIN)/python -m porchflow.kpt.merge.generate --check
	@$(BIN)/python -m porchflow.cli.configuration --check
	@$(BIN)/python -m porchflow.cli.limits --check
	@$(BIN)/python -m porchflow.cli.reference --check

fuzz: $(INSTALLED) ## Make up input for every parser of foreign text (FUZZ_FLAGS="--seconds 600 yaml merge")
	@$(BIN)/python -m tests.fuzz $(FUZZ_FLAGS)

conformance: $(INSTALLED) ## Clone, render and upgrade packages of other repositories (PACKAGES=folder with clones of them)
	@$(BIN)/python -m tests.conformance $(PACKAGES)

jgit: toolchain ## Try a Git server that needs Java: JGit's, by Maven (MVN=...)
	@$(MVN) --quiet --batch-mode --file tests/servers/jgit/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/build/jgit
	@JGIT_LIBRARIES=$(CURDIR)/build/jgit $(BIN)/python -m pytest tests/gitrepo/remote/test_other_servers.py $(PYTEST_FLAGS)

test-browser: toolchain ## Read pages in Chromium (apt-get install chromium chromium-driver)
	@command -v chromedriver > /dev/null || { echo "chromedriver is not on PATH: install Chromium and its driver first" >&2; exit 1; }
	@$(BIN)/python -m pytest tests/browser $(PYTEST_FLAGS)

docs: $(INSTALLED) ## Serve the pages at http://127.0.0.1:8000 (DOCS="build --strict")
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs $(DOCS)

cluster: $(INSTALLED) ## Run a real cluster of one node here, with porchflow as it is deployed (root; Linux)
	@$(BIN)/python -m porchflow.devstack.cluster up

cluster-down: $(INSTALLED) ## End that cluster and remove all of it
	@$(BIN)/python -m porchflow.devstack.cluster down

test-cluster: $(INSTALLED) ## Tests on such a cluster of their own; not part of `make test` (PYTEST_FLAGS="-k word")
	@$(BIN)/python -m pytest -m cluster tests/cluster $(PYTEST_FLAGS)

bench: toolchain ## Measure against a stack of its own
	@$(BIN)/python -m bench $(BENCH_FLAGS)

soak: toolchain ## Random work and faults on a stack of its own, for half an hour (SOAK_FLAGS="--minutes 5 --seed 7")
	@$(BIN)/python -m soak $(SOAK_FLAGS)

toolchain: $(INSTALLED) ## Find or build etcd, kube-apiserver and temporal
	@$(BIN)/python -m porchflow.devstack.toolchain > /dev/null

lock: $(INSTALLED) ## Resolve the dependencies anew
	$(LOCK) --upgrade --output-file requirements-dev.lock --extra dev
	$(LOCK) --constraints requirements-dev.lock --output-file requirements.lock

sbom: $(INSTALLED) ## Write an SBOM and the licenses of what the image installs to build/
	@$(BIN)/python deploy/images/inventory.py build

clean: ## Stop the stack and remove everything that was made: state, environment, caches, built servers
	@if [ -x $(BIN)/porchflow ]; then $(BIN)/porchflow down; fi
	@# Known names only: the folder may be one that holds other things too.
	@for name in kubeconfig git stack.json logs certs etcd temporal.db temporal.db-shm temporal.db-wal temporal-server postgresql postgresql.new ports.json git-cache lock; do \
		rm -rf "$(STATE)/$$name"; done
	@rm -rf "$(CACHE)/servers" "$(CACHE)/git" "$(CACHE)/cluster"
	@for folder in "$(STATE)" "$(CACHE)"; do if [ -d "$$folder" ]; then rmdir "$$folder" 2> /dev/null || true; fi; done
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "removed everything that was made here; Go's own caches are Go's (go clean -cache -modcache)"

$(INSTALLED): requirements-dev.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is not on PATH: install Python 3.11 or newer, or run make PYTHON=/path/to/it" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version): porchflow needs Python 3.11 or newer; run make PYTHON=/path/to/it" >&2; exit 1; }
	@for tool in git kubectl; do command -v $$tool > /dev/null || { echo "$$tool is not on PATH: install it first" >&2; exit 1; }; done
	@echo "making the virtual environment in $(VENV): 1.2 GB, some minutes" >&2
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment: where the module venv is a package of its own, install it (python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@
