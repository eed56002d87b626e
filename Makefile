# Set-up, the main job and the checks; each target makes what it needs and starts at once when called again.
UV := .venv/bin/uv
RUN := .venv/bin/
STAMP := .venv/.installed
PEERS := .venv/.installed-peers

.PHONY: setup pilot test test-install soak bench lint types clean

setup: $(STAMP)

$(UV):
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.5,<1"

# Bytecode is compiled once here, so that no command has to.
$(STAMP): $(UV) pyproject.toml uv.lock
	$(UV) sync --frozen --no-dev --extra starter --inexact --compile-bytecode
	touch $@

$(PEERS): $(STAMP)
	$(UV) sync --frozen --group dev --group peers --inexact --compile-bytecode
	touch $@

pilot: setup
	$(RUN)clipc pilot

# Processes that tests start import our modules too; where bytecode may not be written, each would compile all of them.
test: $(PEERS)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN)pytest -n 2 --dist worksteal

# A new environment by the words of the README and docs/install.md; needs a network, some minutes and 15 GB.
test-install: $(PEERS)
	$(RUN)pytest -m install -p no:xdist --timeout 3600 tests/install

soak: $(PEERS)
	OMP_NUM_THREADS=1 $(RUN)pytest -m soak -n 2 --timeout 3600

# Ours and the peer's in one run, on data that the benchmarks draw; docs/benchmarks.md has the figures and more commands.
bench: $(PEERS)
	OMP_NUM_THREADS=1 $(RUN)python benchmarks/loader.py
	OMP_NUM_THREADS=1 $(RUN)python benchmarks/ahead.py
	OMP_NUM_THREADS=1 $(RUN)python benchmarks/composing.py
	OMP_NUM_THREADS=1 $(RUN)python benchmarks/step.py
	OMP_NUM_THREADS=1 $(RUN)python benchmarks/tuning.py
	OMP_NUM_THREADS=1 $(RUN)python benchmarks/plan.py
	OMP_NUM_THREADS=1 $(RUN)python benchmarks/search.py

lint: $(PEERS)
	$(RUN)ruff check .
	$(RUN)ruff format --check .

types: $(PEERS)
	$(RUN)pyright

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
