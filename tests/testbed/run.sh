#!/usr/bin/env bash
# Drives an agent by the real manager, start to end:
#   run.sh [CASE,CASE…]      starts everything on free ports in a folder of its own, runs the cases, looks for what was
#                            left behind, ends everything; "PASS name"/"FAIL name: why" per case, exit code 1 on failure
#   run.sh ready             says whether that can work here (exit code 0), or what is missing (exit code 1)
#   run.sh install [ENV…]    installs what is missing: packages (as root) and the environments mgr, cli (and agt)
# ORIGINAL=1: with the original agent instead of ours. VENV_DIR: where the environments are (default .cache/testbed/venv).
# KEEP=1: leaves the folder with all logs. FACTOR: overcommit of cores (4).
# shellcheck source-path=SCRIPTDIR/../.. disable=SC1091,SC2153
. "$(dirname "${BASH_SOURCE[0]}")/../../deploy/setup.sh"
. "$ROOT/deploy/engine.sh"
. "$ROOT/deploy/images.sh"
BED=$ROOT/tests/testbed
export VENV_DIR=${VENV_DIR:-$CACHE/testbed/venv}
PY36=${PY36:-$(pyenv prefix 3.6.15 2>/dev/null || echo /usr)/bin/python3.6}
export PY36
PG_BIN=$({ find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null || true; } | sort -V | tail -n 1)
# What is served so far; the other cases of scenario.py wait for the methods that the README lists as later.
CASES=manager_hello,agent_is_alive,image_is_installed,create_session,create_reuses_same_token,query_print
CASES+=,query_keeps_state,query_exception_to_stderr,query_long_run_is_continued,query_large_output,query_unicode
CASES+=,query_user_input,interrupt_running_code,batch_exec,get_logs,ps_lists_session,destroy_session,four_sessions_at_once
CASES+=,kernels_survive_agent_restart

missing() { # what keeps it from running here; nothing when it can
  local program
  for program in etcd etcdctl redis-server redis-cli jq curl runuser; do has "$program" || echo "$program"; done
  [ -n "$PG_BIN" ] || echo postgresql
  for program in mgr cli ${ORIGINAL:+agt}; do
    [ -x "$VENV_DIR/$program/bin/python" ] || echo "the Python 3.6 environment $VENV_DIR/$program"
  done
}
ready() {
  local what
  what=$(missing | paste -sd, | sed 's/,/, /g')
  [ -z "$what" ] || { echo "missing: $what (bash tests/testbed/run.sh install)"; return 1; }
  echo ready
}
install() {
  [ -x "$PY36" ] || die "no CPython 3.6 here, which the published manager needs; name one with PY36=/path/of/python3.6"
  ensure etcd:etcd-server etcdctl:etcd-client redis-server:redis-server jq:jq curl:curl gcc:build-essential
  [ -n "$PG_BIN" ] || apt_install postgresql
  if [ ! -e /usr/include/snappy-c.h ] || ! has pg_config || [ -z "$(find /usr/include -name ffi.h -print -quit)" ]; then
    apt_install libsnappy-dev libpq-dev libffi-dev
  fi
  say "installing the published packages into $VENV_DIR (about two minutes)"
  WORK_DIR=$CACHE/testbed guarded timeout 900 "$BED/install.sh" "${@:-mgr cli}" </dev/null >"$CACHE/logs/testbed-install.log" 2>&1 ||
    die "installing failed: $(complaint "$CACHE/logs/testbed-install.log") (log: $CACHE/logs/testbed-install.log)"
}

start() {
  # PostgreSQL runs as a user of its own, who must be able to reach the folder
  WORK_DIR=$(mktemp -d "${TMPDIR:-/tmp}/backendai-testbed.XXXXXX")
  chmod 755 "$WORK_DIR"
  export WORK_DIR
  # shellcheck disable=SC2016 # evaluated at exit
  [ "${KEEP:-}" = 1 ] || undo 'rm -rf --one-file-system "$WORK_DIR"'
  ETCD_PORT=$(free_port) ETCD_PEER_PORT=$(free_port) REDIS_PORT=$(free_port) PG_PORT=$(free_port)
  MANAGER_PORT=$(free_port) AGENT_PORT=$(free_port) WATCHER_PORT=$(free_port)
  FIRST=$((30000 + RANDOM % 26 * 100)) # below 32768, where the ports of outgoing connections begin
  KERNEL_PORTS=$FIRST-$((FIRST + 90)) CPU_OVERCOMMIT=${FACTOR:-4} AGENT_ID=i-testbed-$AGENT_PORT WATCHER=0
  EXPECT_CPU=$(($(docker info --format '{{.NCPU}}') * CPU_OVERCOMMIT))
  export ETCD_PORT ETCD_PEER_PORT REDIS_PORT PG_PORT MANAGER_PORT AGENT_PORT WATCHER_PORT KERNEL_PORTS CPU_OVERCOMMIT \
    AGENT_ID WATCHER EXPECT_CPU
  if [ -n "${ORIGINAL:-}" ]; then
    "$BED/image.sh"
  else
    export AGENT_CMD=$ROOT/deploy/backendai-agent
    ensure_python_image
    export IMAGE_NAME=${PYTHON_IMAGE%:*} IMAGE_TAG=${PYTHON_IMAGE##*:}
  fi
  # shellcheck disable=SC2016
  undo '"$BED/down.sh" >/dev/null'
  guarded "$BED/up.sh" </dev/null >"$CACHE/logs/testbed-up.log" 2>&1 ||
    die "the testbed did not start: $(complaint "$CACHE/logs/testbed-up.log") (log: $CACHE/logs/testbed-up.log)"
  guarded "$BED/agent.sh" </dev/null >&2 || { KEEP=1; die "the agent did not start, see $WORK_DIR/logs/agent.log"; }
}

FAILED=0
verdict() { # verdict NAME WHAT-IS-LEFT: nothing left is a pass
  if [ -z "$2" ]; then echo "PASS $1"; else
    echo "FAIL $1: $(echo "$2" | paste -sd' ' | cut -c1-300)"
    FAILED=1
  fi
}
sql() { "$PG_BIN/psql" -h 127.0.0.1 -p "$PG_PORT" -U postgres -qAt -d backend -c "$1"; }
unfinished_sessions() { sql "select sess_id, status from kernels where status not in ('TERMINATED', 'CANCELLED')"; }
occupied_slots() { sql "select value from agents, jsonb_each_text(occupied_slots) where value not in ('0', '0.0')"; }
unread_events() { redis-cli -p "$REDIS_PORT" -n 4 llen events.prodcons | grep -v '^0$' || true; }
scratch_folders() { ls "$WORK_DIR/scratch"; }
containers_left() {
  local id
  for id in $(docker ps -aq --filter label=ai.backend.kernel-id); do
    docker inspect -f '{{range .Mounts}}{{.Source}} {{end}}' "$id" 2>/dev/null | grep -o "$WORK_DIR/scratch/[^ ]*" || true
  done
}
networks_left() { docker network ls --filter "label=ai.backend.internal.agent-id=$AGENT_ID" --format '{{.Name}}'; }
is_empty() { [ -z "$("$1")" ]; }
look_for_leftovers() {
  local what
  for what in unfinished_sessions occupied_slots unread_events containers_left scratch_folders; do
    wait_until 20 is_empty "$what" || true # the manager and the agent finish at their own pace
    verdict "no_$what" "$("$what")"
  done
  "$BED/down.sh" agent # an agent keeps its network for as long as it runs
  verdict no_networks_left "$(networks_left)"
}

run() {
  local text
  text=$(ready) || die "$text"
  ensure_deno
  ensure_engine
  [ -n "${ORIGINAL:-}" ] || ensure_runner
  start
  . "$WORK_DIR/client.env"
  SCRATCH_PARENT=$WORK_DIR guarded "$VENV_DIR/cli/bin/python" "$BED/scenario.py" --only "${1:-$CASES}" \
    --agent-start "$BED/agent.sh" --agent-stop-keep "AGENT_SIGNAL=INT $BED/down.sh agent" </dev/null || FAILED=1
  look_for_leftovers
  if [ "$FAILED" != 0 ]; then
    cp "$WORK_DIR/logs/agent.log" "$CACHE/logs/testbed-agent.log"
    cp "$WORK_DIR/logs/manager.log" "$CACHE/logs/testbed-manager.log"
    say "logs: $CACHE/logs/testbed-agent.log, $CACHE/logs/testbed-manager.log"
  fi
  exit "$FAILED"
}

case ${1:-} in
  ready) ready ;;
  install)
    shift
    install "$@"
    ;;
  *) run "${1:-}" ;;
esac
