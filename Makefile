# make demo   mixes real photographs with both methods, writes comix-demo.png, prints a table
# make test   all tests: C++ (CTest) and Python
# make docs   the documentation as web pages, in build/docs
# make lint, make bench, make cpp-test, make sanitize, make tsan, make cuda-races, make cuda-counts,
# make format, make clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
NATIVE := $(shell find csrc cuda cmake -name '*.[ch]pp' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cmake')
FORMATTED := $(shell find csrc cuda tests -name '*.[ch]pp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')

.PHONY: demo test lint bench docs sanitize tsan cuda-races cuda-counts format clean build cpp-test

build: $(VENV)/.built

$(VENV)/.created: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "comix: Python >= 3.10 is needed; choose one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt \
	  "scikit-build-core>=0.10" "pybind11>=2.13" cmake ninja torch numpy
	@touch $@

# Editable: Python changes count at once, native ones after the next make.
$(VENV)/.built: $(VENV)/.created pyproject.toml CMakeLists.txt $(NATIVE)
	$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt \
	  --no-build-isolation --config-settings=editable.rebuild=false -e ".[test]"
	@touch $@

$(VENV)/.lint: $(VENV)/.built
	$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt ruff mypy clang-format
	@touch $@

$(VENV)/.bench: $(VENV)/.built
	-$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt gco-wrapper
	-$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt PyMaxflow lap scipy rich matplotlib
	@touch $@

# The libraries that comix adapts to, and what the examples need; tests of what is missing skip and say so.
$(VENV)/.adapted: $(VENV)/.built
	-$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt scikit-learn tqdm
	-$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt torchvision timm
	-$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt kornia
	-$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt lightning
	@touch $@

# Of the tests, one builds the site, so that it stays without warnings.
$(VENV)/.docs: $(VENV)/.built
	$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt sphinx myst-parser furo
	@touch $@

demo: build
	$(BIN)/python -m comix demo --out comix-demo.png

test: build $(VENV)/.adapted $(VENV)/.docs cpp-test
	$(BIN)/python -m pytest -q

# make cpp-test, make sanitize, make tsan: the presets of CMakePresets.json
cpp-test: PRESET := tests
sanitize: PRESET := sanitize
tsan: PRESET := tsan
cpp-test sanitize tsan: $(VENV)/.created
	$(BIN)/cmake --preset $(PRESET) -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) >/dev/null
	$(BIN)/cmake --build --preset $(PRESET) -j $(JOBS)
	$(BIN)/ctest --preset $(PRESET)

# The CUDA kernels on the emulated device, which reports accesses that no barrier orders. Without the one test that
# takes as long as all others: smaller cuts over levels run the same code.
cuda-races: build
	COMIX_EMULATED_WATCH=RACES $(BIN)/python -m pytest -q tests/test_cuda_emulated.py -k "not 60-quadratic-all"

# What the kernels do one after the other in the jobs of the device benchmark, counted on the emulated device.
cuda-counts: $(VENV)/.bench
	COMIX_EMULATED_WATCH=STEPS PYTHONPATH=. $(BIN)/python tests/cuda_counts.py $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(FORMATTED)

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(FORMATTED)

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -E -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

clean:
	rm -rf build dist $(VENV)/.built
