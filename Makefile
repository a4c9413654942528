# Two commands do all: `make demo` and `make test`. A bare `make` lists the rest.
PYTHON ?= python3
TORCH ?= torch==2.13.0
# Another wheel index for torch, e.g. one with CUDA builds: make setup TORCH_INDEX=https://...
TORCH_INDEX ?=
BIN := .venv/bin
STAMP := .venv/.made
# Passive waiting and one thread: spinning OpenMP threads on shared cores cost up to 40x.
export OMP_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup check lint types test tested slow gpu paper cluster browser trackers datasets transformers peers bench demo docs

help: ## list what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

setup: $(STAMP) ## make .venv with pinned versions (about 1.5 GB)
	@echo 'Now enter it, in every new shell, so that the command secateur is found: . .venv/bin/activate'

RUNTIME := runtime/pyproject.toml runtime/setup.py $(wildcard runtime/src/secateur_runtime/native_c/*)
$(STAMP): pyproject.toml constraints.txt $(RUNTIME)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  "secateur needs Python 3.11 to 3.13, this is %d.%d; name another one: make setup PYTHON=python3.12" % v)'
	@$(PYTHON) -c 'import shutil, sys; f = shutil.disk_usage(".").free / 1e9; sys.exit(0 if f >= 3 else \
	  "secateur needs 3 GB of free disk for its environment, here are %.1f GB; free some" % f)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	$(BIN)/python -m pip install -q --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),) $(TORCH)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt hatchling editables setuptools
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation -e ./runtime
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[report,images,mlxtend,dp,onnx,structured,dev]'
	@touch $(STAMP)

check: lint types ## format, lint, strict types, import rules

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

# Types take one core, so they are checked beside the tests.
test: lint ## check + unit and contract tests + doctests (under 8 minutes on 2 cores)
	@$(MAKE) --no-print-directory -j2 types tested

tested: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests runtime/tests
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --doctest-modules src/secateur runtime/src/secateur_runtime

slow: $(STAMP) ## coverage simulations, kill-and-resume, minutes each
	$(BIN)/python -m pytest -q -n 2 --dist load -m slow --timeout 3600 tests runtime/tests

gpu: $(STAMP) ## tests on a CUDA card (with a CUDA build of torch: TORCH_INDEX)
	$(BIN)/python -m pytest -q -m gpu tests/gpu

paper: $(STAMP) ## reproductions of published figures
	$(BIN)/python -m pytest -q -m paper --timeout 0 tests

cluster: $(STAMP) ## fleets on Ray, with a killed worker and with two nodes (installs ray)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt ray
	$(BIN)/python -m pytest -q -m cluster tests

browser: $(STAMP) ## pages in the system's Chromium: charts, axe, keyboard, print (installs playwright)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[browser]'
	$(BIN)/python -m pytest -q -m browser tests/browser

trackers: $(STAMP) ## reports sent to MLflow, TensorBoard and Weights & Biases, offline (installs them)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt mlflow tensorboard wandb
	$(BIN)/python -m pytest -q -m trackers --timeout 600 tests

datasets: $(STAMP) ## data sets of Hugging Face, made on the spot (installs datasets)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt datasets
	$(BIN)/python -m pytest -q -m datasets tests

transformers: $(STAMP) ## Hugging Face classifiers, made on the spot (installs transformers)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt transformers
	$(BIN)/python -m pytest -q -m transformers --timeout 600 tests

peers: ## an environment with others' packages for benchmarks.peers and benchmarks.agreement
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt pip
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check $(TORCH)
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check numpy scipy scikit-learn 'pandas<3' fpdf pypdf multiprocess \
	  xgboost-cpu prompt-toolkit pyyaml matplotlib safetensors click rich six tqdm hatchling editables
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check --no-deps sacroml==2.0.1 privacyguard-platform==0.0.2 \
	  adversarial-robustness-toolbox==1.20.1
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .

bench: $(STAMP) ## speed, as ratios within one run
	$(BIN)/python -m benchmarks

demo: $(STAMP) ## the main job on real embedded data: prints a table, writes an HTML report
	$(BIN)/secateur demo

docs: $(STAMP) ## write docs/results/ anew from results/
	$(BIN)/python -m tools.docs
