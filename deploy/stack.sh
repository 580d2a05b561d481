#!/usr/bin/env bash
# The servers an agent needs, for development, on fixed ports of the loopback interface:
#   bash deploy/stack.sh up      etcd 127.0.0.1:8120, Redis 127.0.0.1:8110, a Docker Engine if none answers
#   bash deploy/stack.sh down    ends them (and only them); their data stays in .cache/stack
#   bash deploy/stack.sh status
# Settings: ETCD_PORT, ETCD_PEER_PORT, REDIS_PORT; see also setup.sh and engine.sh.
# shellcheck source-path=SCRIPTDIR/.. source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
# shellcheck source=deploy/engine.sh
. "$ROOT/deploy/engine.sh"
: "${ETCD_PORT:=8120}" "${ETCD_PEER_PORT:=8121}" "${REDIS_PORT:=8110}"
STACK=$CACHE/stack
ETCD=http://127.0.0.1:$ETCD_PORT

running() { # running NAME: whether the server that was started here still lives
  local pid
  pid=$(cat "$STACK/$1.pid" 2>/dev/null) || return 1
  kill -0 "$pid" 2>/dev/null && tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q "$1"
}
start() { # start NAME COMMAND...
  local name=$1
  shift
  mkdir -p "$STACK/$name"
  setsid "$@" </dev/null >"$CACHE/logs/stack-$name.log" 2>&1 &
  echo $! >"$STACK/$name.pid"
  disown
}
stop() { # stop NAME
  local pid
  if running "$1"; then
    pid=$(cat "$STACK/$1.pid")
    kill -TERM "$pid"
    wait_until 20 process_is_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
    say "ended $1"
  fi
  rm -f "$STACK/$1.pid"
}
etcd_answers() { curl -fsS -m 3 --noproxy '*' "$ETCD/health" | grep -q true; }
redis_answers() { timeout 3 redis-cli -h 127.0.0.1 -p "$REDIS_PORT" ping | grep -q PONG; }
etcd_put() { ETCDCTL_API=3 timeout 10 etcdctl --endpoints "$ETCD" put -- "$1" "$2" >/dev/null; }

up() {
  ensure curl:curl etcd:etcd-server etcdctl:etcd-client redis-server:redis-server
  KEEP_ENGINE=1 ensure_engine
  if ! running etcd; then
    start etcd etcd --name stack --data-dir "$STACK/etcd" --listen-client-urls "$ETCD" --advertise-client-urls "$ETCD" \
      --listen-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" --initial-advertise-peer-urls "http://127.0.0.1:$ETCD_PEER_PORT" \
      --initial-cluster "stack=http://127.0.0.1:$ETCD_PEER_PORT"
    chmod 700 "$STACK/etcd"
  fi
  if ! running redis-server; then
    start redis-server redis-server --bind 127.0.0.1 --port "$REDIS_PORT" --dir "$STACK/redis-server" --save '' --appendonly no
  fi
  wait_until 30 etcd_answers || die "etcd does not answer on $ETCD: $(complaint "$CACHE/logs/stack-etcd.log")"
  wait_until 30 redis_answers || die "Redis does not answer on port $REDIS_PORT: $(complaint "$CACHE/logs/stack-redis-server.log")"
  etcd_put /sorna/local/config/redis/addr "127.0.0.1:$REDIS_PORT" # where the agent looks for Redis
  etcd_put /sorna/local/nodes/manager none # it starts when a manager has announced itself; here there is none
  cat >"$STACK/agent.toml" <<TOML
[etcd]
namespace = "local"
addr = { host = "127.0.0.1", port = $ETCD_PORT }

[agent]
mode = "docker"
id = "i-development"
rpc-listen-addr = { host = "127.0.0.1", port = 6001 }

[container]
kernel-host = "127.0.0.1"
port-range = [30000, 30900]
scratch-type = "hostdir"
scratch-root = "$STACK/scratches"

[resource]
reserved-cpu = 0
reserved-mem = "1G"

[debug]
enabled = false

[logging]
level = "INFO"
drivers = ["console"]

[logging.pkg-ns]
"" = "WARNING"
"ai.backend" = "INFO"
TOML
  status
  say "start the agent with: DOCKER_HOST=$DOCKER_HOST deno task agent -f $STACK/agent.toml"
}
down() {
  stop redis-server
  stop etcd
  if [ -d "$ENGINE_RUN" ]; then own_engine_down; fi
}
status() {
  local name
  for name in etcd:$ETCD_PORT redis-server:$REDIS_PORT; do
    if running "${name%%:*}"; then echo "${name%%:*} runs on 127.0.0.1:${name##*:}"; else echo "${name%%:*} is not started"; fi
  done
  if [ -d "$ENGINE_RUN" ]; then echo "a Docker Engine runs on unix://$ENGINE_SOCKET"; fi
}

case ${1:-} in
  up) up ;;
  down) down ;;
  status) status ;;
  *) die "usage: bash deploy/stack.sh up|down|status" ;;
esac
