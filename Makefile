# make demo   the whole suite at its tiny preset: data, training, evaluation, report
# make test   every check: style, types, import contract, tests
#
# PALMARES_TORCH=gpu   install the CUDA build of torch (default: the CPU build, where the package index offers one)
# PYTHON=python3.12    another interpreter, 3.11 or newer

PYTHON ?= python3
PALMARES_TORCH ?= cpu
PIP := .venv/bin/python -m pip --disable-pip-version-check install --quiet
TORCH := $(shell sed -n 's/^torch==//p' requirements.lock)
STAMP := .venv/.installed-$(PALMARES_TORCH)

.PHONY: install demo test lint clean

install: $(STAMP)

# '===' takes exactly that build, so the plain (CUDA) wheel wins over a local '+cpu' one. For the CPU, the '+cpu' build is
# tried first because the plain one brings gigabytes of CUDA packages; where none is offered (macOS) the plain one is right.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Palmares needs Python 3.11 or newer: make PYTHON=python3.11")'
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "installing torch $(TORCH) ($(PALMARES_TORCH) build) and the locked packages into .venv"
ifeq ($(PALMARES_TORCH),gpu)
	@$(PIP) "torch===$(TORCH)"
else ifeq ($(PALMARES_TORCH),cpu)
	@$(PIP) "torch==$(TORCH)+cpu" 2>/dev/null || echo "no CPU build of torch offered: installing the default one"
else
	$(error PALMARES_TORCH is '$(PALMARES_TORCH)': expected cpu or gpu)
endif
	@$(PIP) -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@rm -f .venv/.installed-*; touch $@

demo: install
	@.venv/bin/palmares demo

test: install lint
	@.venv/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: install
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports
	@.venv/bin/mypy

clean:
	rm -rf .venv build *.egg-info
