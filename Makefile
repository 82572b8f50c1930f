# Every verb sets up what it needs. Variables: PYTHON (interpreter for the environment), PIP_ARGS (for example an index
# with CPU builds of torch), RUNTIME (cpu or gpu), ARGS (passed on), JOBS (processes that share the
# tests), ONCE=1 (demo: stop after the predictions).

# The distribution's interpreter where it is new enough: it is built with profile-guided optimization, without which
# (as pyenv compiles one) a tiny request took up to 1.2 times the processor time.
PYTHON   ?= $(or $(shell for it in /usr/bin/python3 python3; do \
	"$$it" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$it" && break; \
	done),python3)
PIP_ARGS ?=
RUNTIME  ?= cpu
PROFILE  ?= full
RECIPE   ?= digits
ARGS     ?=
ONCE     ?=
URL      ?=
JOBS     ?= 2

# Triton's Python backend links the system's libpython; Debian's python3 has it, many other builds don't.
TRITON_PYTHON ?= /usr/bin/python3
TRITON_VENV   := .venv-triton
TRITON_STAMP  := $(TRITON_VENV)/.stamp-0.7.0

# Clients that aren't ours, and tests of them; they need versions of their own.
CLIENTS_VENV  := .venv-clients
CLIENTS_LOCK  := tests/clients/requirements.txt
CLIENTS_STAMP := $(CLIENTS_VENV)/.stamp

# TensorFlow and what converts its models to ONNX; they need versions of their own too.
TENSORFLOW_VENV  := .venv-tensorflow
TENSORFLOW_LOCK  := tests/tensorflow/requirements.txt
TENSORFLOW_STAMP := $(TENSORFLOW_VENV)/.stamp

VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/.stamps-$(RUNTIME)
LOCK   := pyproject.toml constraints.txt
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(PIP_ARGS)

SERVICES ?= hone prometheus alertmanager grafana
COMPOSE  ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup demo serve train test check fuzz bench bench-peers bench-overload bench-swap bench-compression bench-search soak capacity loadtest up down test-stack test-tensorflow test-triton models recipes test-recipes results dashboards lock clean
.PHONY: engine

help: ## list the verbs
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

setup: $(STAMPS)/all ## install everything: service, training, load tests, development

demo: $(STAMPS)/training ## train, compress, compare, serve and classify real digits (ONCE=1 stops after the predictions)
	@$(BIN)/python -m training publish digits --profile quick --repository runs/models; told=$$?; \
	case $$told in \
	0) models="runs/models --profile quick" ;; \
	4) models="models --profile full"; echo "  what was trained here isn't published; the committed family is served instead" ;; \
	*) exit $$told ;; \
	esac; \
	$(BIN)/python -m deploy.demo --repository $$models $(if $(filter-out 0,$(ONCE)),--once) $(ARGS)

serve: $(STAMPS)/serve ## serve the committed models; installs no torch (ARGS="--http-port 9000")
	$(BIN)/python -m service run --model-repository models $(ARGS)

train: $(STAMPS)/training ## run a recipe into runs/models (RECIPE=digits PROFILE=tiny|quick|full)
	$(BIN)/python -m training publish $(RECIPE) --profile $(PROFILE) --repository runs/models $(ARGS)

test: check $(CLIENTS_STAMP) ## everything in check, then all tests in random order, the files shared by JOBS processes
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(STAMPS)/all ## lint, format, types, import contracts; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(STAMPS)/all ## feed every decoder with damaged requests, a minute each (ARGS="--target grpc --seconds 600 --seed 1")
	$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(STAMPS)/all ## measure Hone against ONNX Runtime alone, into loadtests/RESULTS.md (ARGS="--workloads W1 --rounds 2")
	$(BIN)/python -m loadtests.bench $(ARGS)

bench-peers: $(STAMPS)/all ## install other servers and measure each beside Hone (45 minutes; parts merge: ARGS="--only mosec --workloads W1")
	$(BIN)/python -m loadtests.bench_peers $(ARGS)

bench-overload: $(STAMPS)/all ## offer up to ten times what Hone can do (half an hour; parts merge: ARGS="--factors 2 5")
	$(BIN)/python -m loadtests.bench_overload $(ARGS)

bench-swap: $(STAMPS)/all ## replace a model again and again under load: latencies and memory (ARGS="--swaps 1000 --gap 0.2")
	$(BIN)/python -m loadtests.swap $(ARGS)

bench-compression: $(STAMPS)/all ## compressed models against float, beside other tools, into training/RESULTS.md (parts merge: ARGS="lstm gru")
	$(BIN)/python -m loadtests.bench_compression $(ARGS)

bench-search: $(STAMPS)/all ## what compression searches come to, beside Olive's, into training/RESULTS.md (parts merge: ARGS="topics rivals-mlp")
	$(BIN)/python -m loadtests.bench_search $(ARGS)

soak: $(STAMPS)/all ## ten minutes of swaps, kills and bad clients; fails if anything is lost, wrong or grows (ARGS="--minutes 60")
	$(BIN)/python -m loadtests.soak $(ARGS)

capacity: $(STAMPS)/all ## the highest Poisson rate whose p99 meets the SLO (23 minutes for all three targets; ARGS="--targets digits --slo-ms 100")
	$(BIN)/python -m loadtests.capacity $(if $(URL),--url $(URL)) $(ARGS)

loadtest: $(STAMPS)/all ## headless Locust against URL=http://..., or against a server of its own; fails on any error
	$(BIN)/python -m loadtests.headless $(if $(URL),--url $(URL)) $(ARGS)

up: engine ## build and start the stack in containers, and wait until it is healthy (SERVICES="hone prometheus": less)
	@COMPOSE="$(COMPOSE)" $(PYTHON) -m deploy.docker $(SERVICES)

down: engine ## stop and remove the containers, those of profiles too; what volumes hold stays
	$(COMPOSE) $(foreach profile,headless load triton train trace,--profile $(profile)) down

test-stack: engine $(STAMPS)/all ## the stack from outside: a prediction, dashboards, an alert, faults
	COMPOSE="$(COMPOSE)" $(BIN)/python -m pytest tests/stack $(ARGS)

test-tensorflow: $(STAMPS)/all $(TENSORFLOW_STAMP) ## install TensorFlow (1.6 GB on disk) and test SavedModels that it converts for the trainer
	TENSORFLOW_VENV=$(TENSORFLOW_VENV) $(BIN)/python -m pytest tests/tensorflow $(ARGS)

test-triton: $(STAMPS)/all $(TRITON_STAMP) ## install a real tritonserver (370 MB) and test models that it computes for Hone
	TRITON_VENV=$(TRITON_VENV) $(BIN)/python -m pytest tests/triton $(ARGS)

engine:
	@{ docker info && $(COMPOSE) version; } >/dev/null 2>&1 || { echo "this needs a running Docker engine, and \
	docker-compose or its plugin; on Debian: apt-get install docker.io docker-compose" >&2; exit 2; }

models: $(STAMPS)/training ## train the committed family anew into models/
	$(BIN)/python -m training publish digits --profile full --repository models --keep 1 $(ARGS)

recipes: $(STAMPS)/all ## publish every recipe, and write the table of training/RESULTS.md (parts merge: ARGS="wine --profile full")
	$(BIN)/python -m loadtests.bench_recipes $(ARGS)

test-recipes: $(STAMPS)/all ## the quick profile of every recipe in a scratch folder; fails if one misses its goal (ARGS="wine")
	$(BIN)/python -m loadtests.bench_recipes --scratch $(ARGS)

results: $(STAMPS)/all ## train in full, compare, and write training/RESULTS.md (ARGS="--seeds 0 --no-demo" for less)
	$(BIN)/python -m loadtests.bench_recipe $(ARGS)

dashboards: $(STAMPS)/all ## write Grafana's dashboards anew into deploy/grafana/dashboards/
	$(BIN)/python -m deploy.grafana

lock: $(BIN)/python ## resolve every version anew into constraints.txt
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python deploy/ci/lock.py $(PIP_ARGS)

clean: ## remove the environment, runs and caches
	rm -rf $(VENV) $(TRITON_VENV) $(CLIENTS_VENV) $(TENSORFLOW_VENV) runs build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than pyproject.toml and constraints.txt once what they say is installed; a larger set includes the
# smaller ones, so it renews their stamps too.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) isn't Python 3.11 or later; name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "$(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 2; }

$(TRITON_STAMP):
	$(TRITON_PYTHON) -m venv --clear $(TRITON_VENV)
	$(TRITON_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	  nvidia-pytriton==$(subst .stamp-,,$(@F))
	@touch $@

$(CLIENTS_STAMP): $(CLIENTS_LOCK) | $(BIN)/python
	$(BIN)/python -m venv --clear $(CLIENTS_VENV)
	$(CLIENTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	  --no-deps --requirement $(CLIENTS_LOCK)
	@touch $@

$(TENSORFLOW_STAMP): $(TENSORFLOW_LOCK) | $(BIN)/python
	$(BIN)/python -m venv --clear $(TENSORFLOW_VENV)
	$(TENSORFLOW_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) \
	  --no-deps --requirement $(TENSORFLOW_LOCK)
	@touch $@

$(STAMPS)/serve: $(LOCK) | $(BIN)/python
	$(PIP) --editable '.[$(RUNTIME)]'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/training: $(LOCK) | $(BIN)/python
	$(PIP) --editable '.[$(RUNTIME),training]'
	@mkdir -p $(STAMPS) && touch $(STAMPS)/serve $@

$(STAMPS)/all: $(LOCK) | $(BIN)/python
	$(PIP) --editable '.[$(RUNTIME),openvino,training,loadtests,dev]'
	@mkdir -p $(STAMPS) && touch $(STAMPS)/serve $(STAMPS)/training $@
