#!/usr/bin/env bash
# Passes every test of the project on this machine: installs what is missing, starts an Engine if none answers, runs the
# suites and ends with "N passed, N failed". Asks nothing, can be run again. With arguments: only those suites, for
# example `bash deploy/test.sh domain app`. Settings: see setup.sh, engine.sh, images.sh.
# shellcheck source-path=SCRIPTDIR/.. source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
# shellcheck source=deploy/engine.sh
. "$ROOT/deploy/engine.sh"
# shellcheck source=deploy/images.sh
. "$ROOT/deploy/images.sh"

ensure curl:curl etcd:etcd-server etcdctl:etcd-client redis-server:redis-server docker-registry:docker-registry \
  debootstrap:debootstrap busybox:busybox-static patchelf:patchelf jq:jq python3:python3
ensure_deno
ensure_engine
ensure_libraries
ensure_runner
# Registries are not asked: the tests must pass where none can be reached.
PULL=0 ensure_python_image
ensure_empty_image
export TEST_PYTHON_IMAGE=$PYTHON_IMAGE TEST_EMPTY_IMAGE=$EMPTY_IMAGE

# Real Python peers for the wire protocols; the tests make their environments, in .cache.
python3 -c 'import venv, ensurepip' 2>/dev/null || apt_install python3-venv

# A real manager drives the agent where CPython 3.6 is at hand, which its published packages need (installing them takes
# about two minutes, once); elsewhere tests/e2e reports those cases as skipped.
TESTBED=$ROOT/tests/testbed/run.sh
PY36=${PY36:-$(pyenv prefix 3.6.15 2>/dev/null || echo /usr)/bin/python3.6}
if [ -x "$PY36" ] && ! bash "$TESTBED" ready >/dev/null; then
  guarded env PY36="$PY36" bash "$TESTBED" install </dev/null || say "the testbed could not be installed: its tests will be skipped"
fi

# What interrupted tests leave behind goes too: their files are in one folder, their containers and networks carry a name.
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/backendai-test.XXXXXX")
chmod 711 "$TMPDIR" # the testbed's PostgreSQL, a user of its own, must reach a folder in it
TEST_RUN=r$$-
export TMPDIR TEST_RUN
remove_leftovers() {
  local label=ai.backend.internal.agent-id
  local format="{{.ID}} {{.Label \"$label\"}} {{.Label \"ai.backend.test\"}}"
  # shellcheck disable=SC2016 # fields of awk
  local mine='index($2, "i-test-" run) == 1 || index($2, run) == 1 || index($3, run) == 1 { print $1 }'
  timeout 30 docker ps -a --format "$format" | awk -v run="$TEST_RUN" "$mine" | xargs -r timeout 60 docker rm -f >/dev/null
  timeout 30 docker network ls --format "$format" | awk -v run="$TEST_RUN" "$mine" |
    xargs -r timeout 60 docker network rm >/dev/null
  rm -rf --one-file-system "$TMPDIR"
}
undo remove_leftovers
GRACE_S=90 # the testbed takes its servers down one after the other

say "running the tests"
guarded env -C "$ROOT" timeout "${TEST_LIMIT_S:-1080}" deno task --quiet test "$@"
