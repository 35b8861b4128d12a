# Two commands do everything on a fresh machine with Python (3.11 or newer) and make:
#   make report    the default report, in reports/latest/
#   make test      everything that continuous integration runs
# The others: make gallery [ONLY=e5], make bench, make format, make clean, and
#   make test-lowest   the suite at the lowest versions that pyproject.toml allows
#   make faults        every kind of fault at large; the table is reports/faults.md
#   make fuzz [CASES=9100]   that many bad and good calls of each of eleven kinds: nothing but InputError escapes
#   make battery [NETWORKS=400] [SEED=1]   theory's exact rows against explicitly drawn random networks
#   make weight-free   weight-free graphs against explicit weights, at size; the table is reports/weight_free/README.md
#   make bench-transformers [SHAPES="small xl 175b"]   a draw of a transformer against PyTorch's build and pass
#   make mutations     which 3 % errors of theory are caught; make calibration: false alarms and coverage

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# One BLAS thread a process: pytest and the engine bring their own parallelism.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: report test lint types imports tests test-lowest faults gallery bench battery fuzz mutations calibration weight-free bench-transformers format clean

report: $(VENV)/.installed
	$(BIN)/varprop report -o reports/latest --force

test: lint types imports tests

lint: $(VENV)/.test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test-installed
	$(BIN)/mypy

imports: $(VENV)/.test-installed
	$(BIN)/lint-imports

tests: $(VENV)/.test-installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-lowest: .venv-lowest/.installed
	.venv-lowest/bin/python -m pytest -n 2 --dist worksteal

faults: $(VENV)/.test-installed
	$(BIN)/python -m tests.faults reports/faults.md

gallery: $(VENV)/.test-installed
	$(BIN)/python analyses/gallery.py $(ONLY)

bench: $(VENV)/.test-installed
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-enable -p no:xdist -q --summary reports/benchmarks

NETWORKS ?= 400
SEED     ?= 1

fuzz: $(VENV)/.test-installed
	FUZZ_CASES=$(or $(CASES),9100) $(BIN)/python -m pytest tests/fuzz -n 2 -q

battery: $(VENV)/.test-installed
	$(BIN)/python -m tests.exactness --networks $(NETWORKS) --seed $(SEED) --out reports/exactness

mutations: $(VENV)/.test-installed
	$(BIN)/python -m tests.large.mutations reports/calibration/mutations.md

calibration: $(VENV)/.test-installed
	$(BIN)/python -m tests.large.calibration reports/calibration/README.md

weight-free: $(VENV)/.test-installed
	$(BIN)/python -m tests.large.weight_free reports/weight_free/README.md

SHAPES ?= small

bench-transformers: $(VENV)/.test-installed
	$(BIN)/python -m tests.benchmarks.transformers $(SHAPES)

format: $(VENV)/.test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-lowest reports/latest

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

# What only reads the source (linters, types) is left out.
.venv-lowest/.installed: pyproject.toml tests/lowest.py
	$(PYTHON) -m venv --clear .venv-lowest
	$(PYTHON) tests/lowest.py > .venv-lowest/requirements.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --requirement .venv-lowest/requirements.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# torch is pinned here, and only here, so that every machine tests against the same CPU build.
$(VENV)/.test-installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@ $(VENV)/.installed
