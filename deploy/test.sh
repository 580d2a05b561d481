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

say "running the tests"
guarded env -C "$ROOT" timeout "${TEST_LIMIT_S:-1080}" deno task --quiet test "$@"
