#!/usr/bin/env bash
# The main job on this machine alone: starts the agent without etcd, Redis or a manager, creates a kernel, runs Python in
# it, then TypeScript in a second kernel made from an image with nothing in it, and takes everything down again.
# Does all its own set-up, asks nothing, can be run again. Settings: see setup.sh, engine.sh, images.sh.
# shellcheck source-path=SCRIPTDIR/.. source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
# shellcheck source=deploy/engine.sh
. "$ROOT/deploy/engine.sh"
# shellcheck source=deploy/images.sh
. "$ROOT/deploy/images.sh"

ensure curl:curl
ensure_deno
ensure_engine
ensure_libraries
ensure_runner
ensure_python_image
ensure_empty_image
say "kernel images: $PYTHON_IMAGE and $EMPTY_IMAGE"

RUN=$(mktemp -d "${TMPDIR:-/tmp}/backendai-demo.XXXXXX")
# shellcheck disable=SC2016 # evaluated at exit
undo 'rm -rf --one-file-system "$RUN"'
PORT=$(free_port)
FIRST=$(free_port)
cat >"$RUN/agent.toml" <<TOML
[agent]
id = "i-demo-$PORT"
rpc-listen-addr = { host = "127.0.0.1", port = $PORT }
state-dir = "$RUN/state"

[container]
port-range = [$FIRST, $((FIRST + 40))]
scratch-root = "$RUN/scratches"

[resource]
reserved-cpu = 0
reserved-mem = "128M"
TOML

stop_agent() {
  kill -TERM "$AGENT" 2>/dev/null || return 0
  wait_until 30 agent_is_gone || kill -KILL "$AGENT" 2>/dev/null || true
}
agent_is_gone() { ! kill -0 "$AGENT" 2>/dev/null; }

say "starting the agent on tcp://127.0.0.1:$PORT"
setsid "$ROOT/deploy/backendai-agent" --standalone -f "$RUN/agent.toml" </dev/null >"$CACHE/logs/demo-agent.log" 2>&1 &
AGENT=$!
undo stop_agent
cli() { guarded timeout "$1" deno run --quiet --no-check --frozen --allow-all --config "$ROOT/deno.json" \
  "$ROOT/src/cli/main.ts" --agent "tcp://127.0.0.1:$PORT" "${@:2}" </dev/null; }
cli 60 ping --wait 45 >/dev/null || die "the agent did not start: $(complaint "$CACHE/logs/demo-agent.log") (log: $CACHE/logs/demo-agent.log)"

cli 180 demo --python-image "$PYTHON_IMAGE" --typescript-image "$EMPTY_IMAGE"
say "done; the agent's log is $CACHE/logs/demo-agent.log"
