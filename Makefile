# make demo   set up and run the main job on loopback: sandbox chat page, sandbox ComfyUI, real everything else
# make test   set up and run the whole test suite
# make chaos  the whole product under blows for ten minutes (CHAOS_SEED repeats a run)
# make soak   a silent WebSocket through real circuits for ten minutes
# make check  format, lint, types, layers, docs
# make anon   install the binary that the tests over a private Anon network need
# make bench  measured ratios
# make docs   docs/api.md from the docstrings

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 4
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test chaos soak check anon bench docs format clean

demo: $(READY)
	$(BIN)/veilrun demo

test: $(READY)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not chaos" $(PYTEST_ARGS)
	$(BIN)/python -m pytest tests/chaos $(PYTEST_ARGS)

chaos: $(READY)
	CHAOS_JOBS=$${CHAOS_JOBS:-3000} CHAOS_SECONDS=$${CHAOS_SECONDS:-540} $(BIN)/python -m pytest -s tests/chaos

soak: $(READY)
	VEILRUN_TEST_SILENCE_SECONDS=600 $(BIN)/python -m pytest tests/onion/test_transport.py -k silent

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m "not slow" tests/docs

anon: $(READY)
	$(BIN)/veilrun anon install

bench: $(READY)
	$(BIN)/python -m benchmarks

docs: $(READY)
	$(BIN)/python docs/reference.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "veilrun needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
