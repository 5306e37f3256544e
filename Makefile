# Every target that needs it builds .venv/ at the root, from pins with hashes, as the owner of this folder.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

# Under sudo (or as root in somebody's folder) what is built must belong to the owner of the folder, not to root.
OWNER := $(shell stat -c %u .)
HOME_OF_OWNER := $(shell getent passwd $(OWNER) | cut -d: -f6)
ifeq ($(shell id -u),$(OWNER))
AS_OWNER :=
# Compiled modules are kept, whatever the shell asks for: pytest rewrites those of the tests, which takes long.
unexport PYTHONDONTWRITEBYTECODE
else
AS_OWNER := setpriv --reuid=$(OWNER) --regid=$(shell stat -c %g .) --clear-groups env HOME="$(HOME_OF_OWNER)"
# Compiled modules too: root would leave them in the owner's folder.
export PYTHONDONTWRITEBYTECODE := 1
endif

.PHONY: help
help: ## cette aide
	@printf 'Usage : make CIBLE [ARGS="…"]\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nSans sudo, « make audit » ne voit pas les processus des autres utilisateurs, et le dit.\n'

.PHONY: audit
audit: .venv/.runtime ## audite cette machine et écrit le rapport dans outputs/
	$(BIN)/auditlib run -f parameters/local.yaml $(ARGS)

.PHONY: demo
demo: .venv/.runtime ## le rapport complet d’un serveur de démonstration, sans Docker
	$(BIN)/auditlib run --fast -f parameters/demo.yaml $(ARGS)

.PHONY: jupyter
jupyter: .venv/.runtime ## ouvre JupyterLab sur les carnets
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --LabApp.news_url=None \
		--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate notebooks $(ARGS)

# One worker more than there are cores: many tests wait, for a peer that hangs or a kernel that starts.
.PHONY: test
test: .venv/.dev ## tests sans Docker ni root
	$(BIN)/pytest -n $$(($$(nproc) + 1)) --dist loadfile $(ARGS)

.PHONY: attendus
attendus: .venv/.dev ## réécrit les fichiers que les tests attendent, à relire dans « git diff »
	$(BIN)/python -m tests.expected

.PHONY: test-live
test-live: .venv/.dev ## tests contre un vrai moteur Docker, privé (root)
	$(BIN)/pytest -m live $(ARGS)

.PHONY: testbed
testbed: .venv/.dev ## démarre le serveur de référence, sur un moteur privé (root)
	$(BIN)/python -m tests.testbed up $(ARGS)

.PHONY: testbed-down
testbed-down: .venv/.dev ## arrête le serveur de référence
	$(BIN)/python -m tests.testbed down $(ARGS)

.PHONY: bench
bench: .venv/.dev ## mesures de durée (celle du moteur demande le serveur de référence)
	$(BIN)/python -m tests.benchmarks.routing
	$(BIN)/python -m tests.benchmarks.engine

.PHONY: check
check: .venv/.dev ## style, types et déclarations des contrôles
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -c "import auditlib.checks"
	! command -v shellcheck >/dev/null || shellcheck auditlib/report/check_global.sh

# One name at a time, in a copy of the package: a column in code, a field in a template, a field of a key.
.PHONY: misspelling
misspelling: .venv/.dev ## vérifie que « make check » voit chaque colonne mal écrite dans les contrôles
	$(BIN)/python -m tests.misspelling $(ARGS)

.PHONY: pins
pins: ## recalcule les versions épinglées (demande uv)
	printf 'flit-core\n' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate pyproject.toml - --output-file .pins.txt
	printf 'flit-core\n' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --extra dev --extra live --constraint .pins.txt pyproject.toml - --output-file .pins-dev.txt

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 ou plus récent est nécessaire ; trouvé : $$($(PYTHON) --version 2>&1). Donnez PYTHON=…" >&2; exit 1; }
	@$(AS_OWNER) $(PYTHON) -m venv .venv \
		|| { echo "Création de .venv impossible. Sous Debian et Ubuntu : apt install python3-venv" >&2; exit 1; }

.venv/.runtime: .pins.txt pyproject.toml | .venv/bin/pip
	$(AS_OWNER) $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .pins.txt
	$(AS_OWNER) $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(AS_OWNER) touch $@

.venv/.dev: .pins-dev.txt .venv/.runtime
	$(AS_OWNER) $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r .pins-dev.txt
	$(AS_OWNER) touch $@
