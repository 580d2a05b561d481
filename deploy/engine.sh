# shellcheck shell=bash
# Finds a Docker Engine that answers, or starts one of our own; source it after setup.sh.
# Afterwards DOCKER_HOST names the Engine, for the agent, the tests and the docker program alike.
ENGINE_RUN=/run/backendai-engine.$(printf '%s' "$ROOT" | cksum | cut -d' ' -f1) # sockets: a path has at most 108 bytes
ENGINE_DATA=$CACHE/engine                                                        # images stay there for the next run
ENGINE_SOCKET=$ENGINE_RUN/docker.sock

# engine_answers URL: whether GET /_ping says OK there. A socket file that exists proves nothing.
engine_answers() {
  local reply
  case $1 in
    unix://*) reply=$(curl -fsS -m 5 --unix-socket "${1#unix://}" http://engine/_ping 2>/dev/null) ;;
    tcp://*) reply=$(curl -fsS -m 5 --noproxy '*' "http://${1#tcp://}/_ping" 2>/dev/null) ;;
    *) reply=$(timeout 10 docker -H "$1" version --format OK 2>/dev/null) ;;
  esac
  [ "${reply:-}" = OK ]
}
engine_of_this_machine() {
  local socket
  for socket in "$ENGINE_SOCKET" /run/docker.sock /var/run/docker.sock; do
    if engine_answers "unix://$socket"; then
      echo "unix://$socket"
      return
    fi
  done
  return 1
}
docker_packages() { # newer releases have the docker program in a package of its own
  echo docker.io iptables iproute2
  if apt-cache show docker-cli >/dev/null 2>&1; then echo docker-cli; fi
}
ensure_engine() {
  ensure curl:curl
  if [ -n "${DOCKER_HOST:-}" ]; then
    engine_answers "$DOCKER_HOST" || die "no Docker Engine answers at DOCKER_HOST=$DOCKER_HOST"
  elif DOCKER_HOST=$(engine_of_this_machine); then
    :
  else
    start_engine
  fi
  export DOCKER_HOST
  # shellcheck disable=SC2046 # a list of packages
  has docker || apt_install $(docker_packages)
  say "Docker Engine $(timeout 20 docker version --format '{{.Server.Version}}') at $DOCKER_HOST"
}
start_engine() {
  if ! is_root; then
    local why="no Docker Engine answers"
    [ ! -S /var/run/docker.sock ] || [ -w /var/run/docker.sock ] || why="$(id -un) may not use /var/run/docker.sock"
    die "$why; start one (or join the group docker), set DOCKER_HOST, or run this as root"
  fi
  if ! has dockerd; then
    # shellcheck disable=SC2046
    apt_install $(docker_packages)
    # The package starts the Engine itself where an init system runs.
    if [ -d /run/systemd/system ] && wait_until 20 engine_of_this_machine; then
      DOCKER_HOST=$(engine_of_this_machine)
      return
    fi
  fi
  ensure iptables:iptables ip:iproute2
  own_engine_up
  if [ "${KEEP_ENGINE:-}" = 1 ]; then
    say "leaving the Engine running: DOCKER_HOST=$DOCKER_HOST (end it with: bash deploy/stack.sh down)"
  else
    undo own_engine_down
  fi
}
own_engine_up() {
  local log=$CACHE/logs/dockerd.log
  say "no Docker Engine answers: starting one with its data in $ENGINE_DATA"
  mkdir -p "$ENGINE_RUN" "$ENGINE_DATA"
  # remembered so that only what this Engine adds is taken away again
  rm -f "$ENGINE_RUN/bridge-was-there" "$ENGINE_RUN/chains-were-there"
  if ip link show docker0 >/dev/null 2>&1; then touch "$ENGINE_RUN/bridge-was-there"; fi
  if iptables -S 2>/dev/null | grep -q '^-N DOCKER'; then touch "$ENGINE_RUN/chains-were-there"; fi
  setsid dockerd --host "unix://$ENGINE_SOCKET" --data-root "$ENGINE_DATA" --exec-root "$ENGINE_RUN/exec" \
    --pidfile "$ENGINE_RUN/docker.pid" </dev/null >"$log" 2>&1 &
  echo $! >"$ENGINE_RUN/started.pid"
  disown
  if ! wait_until 60 engine_up_or_dead || ! engine_answers "unix://$ENGINE_SOCKET"; then
    own_engine_down
    die "no Docker Engine answers, and starting one failed: $(complaint "$log") (log: $log)"
  fi
  DOCKER_HOST=unix://$ENGINE_SOCKET
}
engine_up_or_dead() {
  engine_answers "unix://$ENGINE_SOCKET" || ! kill -0 "$(cat "$ENGINE_RUN/started.pid")" 2>/dev/null
}
# Ends the Engine that own_engine_up started, with its containers, its networks and their bridges. Its images stay.
own_engine_down() {
  local pid
  pid=$(cat "$ENGINE_RUN/docker.pid" 2>/dev/null || cat "$ENGINE_RUN/started.pid" 2>/dev/null) || return 0
  if engine_answers "unix://$ENGINE_SOCKET"; then
    own_docker ps -aq | xargs -r timeout 60 docker -H "unix://$ENGINE_SOCKET" rm -f >/dev/null 2>&1 || true
    own_docker network ls -q --filter type=custom |
      xargs -r timeout 30 docker -H "unix://$ENGINE_SOCKET" network rm >/dev/null 2>&1 || true
  fi
  kill -TERM "$pid" 2>/dev/null || true
  if ! wait_until 30 process_is_gone "$pid"; then kill -KILL "$pid" 2>/dev/null || true; fi
  if [ ! -e "$ENGINE_RUN/bridge-was-there" ]; then ip link delete docker0 2>/dev/null || true; fi
  if [ ! -e "$ENGINE_RUN/chains-were-there" ]; then remove_chains; fi
  rm -rf "$ENGINE_RUN"
  say "ended the Docker Engine that was started here; its images stay in $ENGINE_DATA"
}
# An Engine leaves its packet filter rules behind.
remove_chains() {
  local table rule chain
  for table in filter nat; do
    iptables -t "$table" -S 2>/dev/null | sed -n '/DOCKER\|docker0/s/^-A /-D /p' | while read -r rule; do
      # shellcheck disable=SC2086 # a rule is a list of words
      iptables -t "$table" $rule 2>/dev/null || true
    done
    for chain in $(iptables -t "$table" -S 2>/dev/null | sed -n 's/^-N \(DOCKER.*\)/\1/p'); do
      iptables -t "$table" -F "$chain" 2>/dev/null || true
      iptables -t "$table" -X "$chain" 2>/dev/null || true
    done
  done
}
own_docker() { timeout 30 docker -H "unix://$ENGINE_SOCKET" "$@" 2>/dev/null; }
process_is_gone() { ! kill -0 "$1" 2>/dev/null; }
