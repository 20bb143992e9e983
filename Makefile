# Each target works from a fresh clone: it makes .venv, installs what it needs there, and is quick the next time.
#   PYTHON=python3.12   the interpreter to build .venv from (with uv on the PATH: UV_PYTHON)
#   PYTEST_ARGS="-k x"  passed on to pytest (-n 0: in one process), and TORTURE_ARGS="--kills 5" to the torture
#   PARTS="tests/api tests/kernel"   the folders of make quick (default: all tests)
#   MINUTES=5 SEED=2    of make soak
#   BENCH_ARGS=--quick  passed on to the benchmarks

PYTHON ?= python3
VENV := .venv
PARTS := tests
BIN := $(VENV)/bin
JUPYTER_AI := $(VENV)-jupyter-ai
UV := $(shell command -v uv 2>/dev/null)
BYTECODE := --compile-bytecode
MINUTES := 20
SEED := 1
PYTEST := $(BIN)/pytest --numprocesses auto --maxprocesses 4
# The oldest versions that pyproject.toml allows of what Colab brings; they need Python 3.11.
FLOOR := ipython==7.34.0 ipykernel==6.17.1 ipywidgets==7.7.1 traitlets==5.7.1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test quick floor check clients findings faults promises soak lab notebooks pictures docs torture bench clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: $(VENV)/has-demo ## chat, vision and embeddings on your Ollama, or on the stand-in where there is none
	@$(BIN)/python scripts/demo.py

test: $(VENV)/has-test ## every test: unit, contract, notebooks, browser (PYTEST_ARGS="-k name" for some)
	@chromium=$$($(BIN)/python scripts/chromium.py) && \
		OLLAMA_MAGICS_CHROMIUM="$$chromium" $(PYTEST) $(PYTEST_ARGS)

quick: $(VENV)/has-test ## the tests without browser, real Ollama, notebooks and the slow ones
	@$(PYTEST) $(PARTS) -m "not (browser or real or slow)" $(PYTEST_ARGS)

floor: $(VENV)/has-floor ## magics, kernel and panel with the oldest IPython (VENV=.venv-floor PYTHON=python3.11)
	@$(PYTEST) tests/notebook tests/kernel -m "not slow" $(PYTEST_ARGS)

clients: $(VENV)/has-clients ## other clients on the stand-in and at OLLAMA_TEST_URL, compared (VENV=.venv-clients)
	@$(BIN)/python -m tests.clients.compare $(CLIENTS)

findings: $(VENV)/has-test ## the tests of each known way in which data can go wrong, as a table of ✓ and ✗ (with OLLAMA_TEST_URL: all)
	@chromium=$$($(BIN)/python scripts/chromium.py) && \
		OLLAMA_MAGICS_CHROMIUM="$$chromium" $(PYTEST) tests -m finding --findings $(PYTEST_ARGS)

faults: $(VENV)/has-test ## what a server can do wrong x check, chat, rows, embeddings, as a table of ✓ and ✗
	@$(PYTEST) tests/faults $$($(BIN)/python -m tests.faults --held) --faults $(PYTEST_ARGS)

promises: $(VENV)/has-test ## the tests of what is promised, as seven lines with figures (a thousand cells, kills, floods)
	@$(PYTEST) tests -m promise --promises $(PYTEST_ARGS)

soak: $(VENV)/has-test ## mixed use with random faults for MINUTES=20 (SEED=1; with OLLAMA_TEST_URL also on a real Ollama)
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED)

check: $(VENV)/has-test,lint ## ruff, its formatter, mypy, pyright on the public calls, and the layers (import-linter)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/basedpyright --level error --pythonpath $(BIN)/python tests/typing/api.py
	@$(BIN)/lint-imports --no-logo --no-cache

lab: $(VENV)/has-lab ## JupyterLab with the notebooks, on the stand-in
	@$(BIN)/python scripts/lab.py

notebooks: $(VENV)/has-test ## run the notebooks and store what they show (with OLLAMA_TEST_URL: also record anew)
	@$(BIN)/python scripts/record_notebooks.py

pictures: $(VENV)/has-test ## take the pictures under docs/ anew, in a real browser
	@chromium=$$($(BIN)/python scripts/chromium.py) && \
		OLLAMA_MAGICS_CHROMIUM="$$chromium" $(BIN)/python -m scripts.screenshots

docs: $(VENV)/has-demo ## write the tables of options, settings and error codes under docs/ anew
	@$(BIN)/python scripts/write_docs.py

torture: $(VENV)/has-demo ## embed 100 000 texts through 20 kills: bit-identical, nothing asked twice (TORTURE_ARGS="--kills 5")
	@$(BIN)/python benchmarks/torture.py $(TORTURE_ARGS)

bench: $(VENV)/has-bench $(JUPYTER_AI)/made ## next to other clients; writes docs/performance.md (needs a C compiler; BENCH_ARGS=--quick for a look)
	@chromium=$$($(BIN)/python scripts/chromium.py) && \
		OLLAMA_MAGICS_CHROMIUM="$$chromium" JUPYTER_AI_PYTHON="$$(ls $(JUPYTER_AI)/bin/python 2>/dev/null)" \
		$(BIN)/python benchmarks/docs.py $(BENCH_ARGS)

clean: ## remove .venv and everything else that was made
	@rm -rf .venv* build dist demo.html .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A change of pyproject.toml makes a new environment. The file "made" stands for it, "has-test" for `.[test]` in it,
# and "has-floor" for `.[test]` with the oldest versions.
$(VENV)/made: pyproject.toml
ifneq ($(UV),)
	@rm -rf $(VENV)
	@uv venv --quiet $(VENV)
else
	@$(PYTHON) scripts/make_venv.py $(VENV)
endif
	@touch $@

# jupyter-ai-magics and what a cell of it needs; where that cannot be installed, the benchmarks leave it out and say so.
$(JUPYTER_AI)/made: WANTED := ipykernel httpx jupyter-ai-magics "langchain-ollama<1"
$(JUPYTER_AI)/made:
	@echo "Installing jupyter-ai-magics into $(JUPYTER_AI) ..."
ifneq ($(UV),)
	@rm -rf $(JUPYTER_AI)
	@uv venv --quiet $(JUPYTER_AI) && uv pip install --quiet --python $(JUPYTER_AI)/bin/python $(WANTED) && touch $@ || rm -rf $(JUPYTER_AI)
else
	@$(PYTHON) scripts/make_venv.py $(JUPYTER_AI) && $(JUPYTER_AI)/bin/python -m pip install --quiet \
		--disable-pip-version-check $(WANTED) && touch $@ || rm -rf $(JUPYTER_AI)
endif

$(VENV)/has-floor: EXTRA := test
$(VENV)/has-floor: VERSIONS := $(FLOOR)
$(VENV)/has-%: EXTRA = $*
$(VENV)/has-%: $(VENV)/made
	@echo "Installing ollama_magics[$(EXTRA)] $(VERSIONS) into $(VENV) ..."
ifneq ($(UV),)
	@uv pip install --quiet $(BYTECODE) --python $(BIN)/python --editable '.[$(EXTRA)]' $(VERSIONS)
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRA)]' $(VERSIONS)
endif
	@touch $@
