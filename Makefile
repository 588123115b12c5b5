# `make tour`, `make test`: each sets up everything it needs first (once, a few minutes), in .venv, and starts at once afterwards.
#   make lab      JupyterLab on the notebooks
#   make check    are notebooks clean, modules and README in step with them, names defined?
#   make export   modules and README from the notebooks
#   make bench    our speed beside others', in an environment of its own
# A Python of your choice: make PYTHON=/path/to/python3.12. Further arguments: make test ARGS="nbs/core/01_hub.ipynb --flags slow"

PYTHON ?= python3
VENV   := .venv
BENCH  := .venv-bench
BIN    := $(VENV)/bin
TORCH  := torch==2.13.0
PIP    := -m pip --disable-pip-version-check --no-input
QUIET  := -qq --progress-bar off

# Nothing of the user's own Python leaks in.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV VIRTUAL_ENV CONDA_PREFIX
export PYTHONNOUSERSITE := 1

.PHONY: help setup tour test lab check export freeze bench clean
.DEFAULT_GOAL := help

help:
	@sed -n '1,7s/^# \{0,1\}//p' Makefile

tour: $(VENV)/ready
	@$(BIN)/interp-nb tour $(ARGS)

test: $(VENV)/ready
	@HF_HUB_OFFLINE=1 MPLBACKEND=Agg $(BIN)/python nbs/_dev/check.py --both $(ARGS)

lab: $(VENV)/ready
	@$(BIN)/jupyter lab --notebook-dir nbs $(ARGS)

check: $(VENV)/ready
	@$(BIN)/python nbs/_dev/lint.py $(ARGS)

export: $(VENV)/ready
	@$(BIN)/nbdev_clean && $(BIN)/nbdev_export && $(BIN)/python nbs/_dev/readme.py

setup: $(VENV)/ready

bench: $(BENCH)/ready
	@set -e; for f in benchmarks/[!_]*.py; do [ ! -e "$$f" ] || { echo "== $$f"; $(BENCH)/bin/python "$$f" $(ARGS); }; done

freeze: $(VENV)/ready
	@sed -n '/^#/p' constraints.txt > constraints.new
	@$(BIN)/python $(PIP) freeze --all --exclude-editable --exclude pip --exclude wheel \
	  | sed 's/+[a-z0-9.]*$$//' | grep -vE '^(nvidia|cuda|triton|-e)' >> constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) $(BENCH) *.egg-info .ruff_cache .check-times.json

# The first Python that is new enough; an environment that is there and works is kept.
define environment
[ -x $(1)/bin/python ] && $(1)/bin/python $(PIP) --version >/dev/null 2>&1 || { \
for py in "$(PYTHON)" python3.13 python3.12 python3.11 python3 python; do \
  "$$py" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; py=; done; \
[ -n "$$py" ] || { echo "interp-nb needs Python 3.11 or newer, and there is none on the path (make PYTHON=/path/to/python3)" >&2; exit 1; }; \
"$$py" -m venv --clear $(1) >/dev/null 2>&1 || { "$$py" -m venv --clear --without-pip $(1) && \
  "$$py" $(PIP) --python $(1)/bin/python install $(QUIET) pip; } || \
{ echo "Python's venv does not work here; on Debian or Ubuntu: apt install python3-venv python3-pip" >&2; exit 1; }; }
endef

$(VENV)/ready: settings.ini setup.py constraints.txt
	@echo "Setting up $(VENV), once; this takes some minutes"
	@$(call environment,$(VENV))
	@echo "  1/3 pip";                     $(BIN)/python $(PIP) install $(QUIET) --upgrade pip
	@echo "  2/3 $(TORCH)";                $(BIN)/python $(PIP) install $(QUIET) -c constraints.txt setuptools $(TORCH)
	@echo "  3/3 interp-nb and the rest";  $(BIN)/python $(PIP) install $(QUIET) -c constraints.txt --no-build-isolation -e '.[dev,harness]'
	@touch $@

$(BENCH)/ready: settings.ini setup.py constraints.txt benchmarks/requirements.txt
	@echo "Setting up $(BENCH), once; this takes some minutes"
	@$(call environment,$(BENCH))
	@echo "  1/3 pip";                     $(BENCH)/bin/python $(PIP) install $(QUIET) --upgrade pip
	@echo "  2/3 $(TORCH)";                $(BENCH)/bin/python $(PIP) install $(QUIET) setuptools $(TORCH)
	@echo "  3/3 interp-nb and peers";     $(BENCH)/bin/python $(PIP) install $(QUIET) --no-build-isolation -e . -r benchmarks/requirements.txt
	@touch $@
