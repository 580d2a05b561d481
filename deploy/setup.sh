# shellcheck shell=bash
# Shared by the scripts of this folder and by .ci/run; source it, do not execute it.
# Installs what is missing, starts what does not answer, and gives back at exit what it started, also after Ctrl-C.
# Settings: DOCKER_HOST (the Engine to use), KEEP_ENGINE=1 (leave an Engine that had to be started running).
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=$ROOT/.cache # everything these scripts keep between runs; safe to delete while nothing runs
DENO_VERSION=2.9.6
export DEBIAN_FRONTEND=noninteractive NO_UPDATE_NOTIFIER=1
PATH=$PATH:/usr/sbin:/sbin # where dockerd and debootstrap are; not in everybody's PATH
mkdir -p "$CACHE/logs"

say() { printf '%s\n' "== $*" >&2; }
die() { # one clear line, then the end
  printf '%s\n' "error: $*" >&2
  exit 1
}
complaint() { # complaint LOG: the line that most likely says why
  { grep -m1 -iE '^(E:|error|.*(fatal|failed|cannot))' "$1" || tail -n 1 "$1"; } 2>/dev/null | cut -c1-300
}
is_root() { [ "$(id -u)" = 0 ]; }
has() { command -v "$1" >/dev/null 2>&1; }

# --- what has to be undone at exit, last first -----------------------------------------------------------------------
UNDO=()
CHILD=
GRACE_S=20 # for what runs under `guarded`, when it has to end early
undo() { UNDO+=("$1"); } # a command line
finish() {
  local rc=$? i
  trap '' INT TERM HUP # a second Ctrl-C must not cut the clean-up short; every step in it has its own deadline
  trap - EXIT
  if [ -n "$CHILD" ]; then end_group "$CHILD" "$GRACE_S"; fi
  for ((i = ${#UNDO[@]} - 1; i >= 0; i--)); do eval "${UNDO[$i]}" || true; done
  exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Runs a command in a process group of its own and waits for it, so that a signal to this script ends all of it at once.
# (Job control for a moment: without it bash would start it with SIGINT ignored, and all its children inherit that.)
guarded() {
  local rc=0
  set -m
  "$@" <&0 &
  CHILD=$!
  set +m
  wait "$CHILD" || rc=$?
  CHILD=
  return "$rc"
}
# end_group LEADER SECONDS: SIGTERM to a process group, SIGKILL to what is left of it when the time is over.
end_group() {
  kill -TERM -- "-$1" 2>/dev/null || return 0
  wait_until "$2" group_is_gone "$1" || kill -KILL -- "-$1" 2>/dev/null || true
}
group_is_gone() { ! kill -0 -- "-$1" 2>/dev/null; }
# wait_until SECONDS COMMAND...: polls until the command succeeds; 1 when the time is over.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}
# A TCP port of the loopback interface that nobody listens on now.
free_port() {
  local port
  for _ in $(seq 50); do
    port=$((20000 + RANDOM % 10000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  die "no free TCP port found on 127.0.0.1 between 20000 and 29999"
}

# --- packages ---------------------------------------------------------------------------------------------------------
APT_UPDATED=
apt_install() {
  if ! has apt-get; then die "missing programs, and this is not Debian or Ubuntu; install the equivalents of: $*"; fi
  if ! is_root; then die "missing programs; as root run: apt-get install -y $*   and then start this script again"; fi
  say "installing $*"
  if [ -z "$APT_UPDATED" ]; then
    timeout 300 apt-get -o DPkg::Lock::Timeout=120 update >"$CACHE/logs/apt.log" 2>&1 ||
      say "apt-get update failed, going on with the package lists there are (log: $CACHE/logs/apt.log)"
    APT_UPDATED=1
  fi
  guarded timeout 900 apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@" \
    </dev/null >>"$CACHE/logs/apt.log" 2>&1 ||
    die "apt-get install $* failed: $(complaint "$CACHE/logs/apt.log") (log: $CACHE/logs/apt.log)"
}
# ensure PROGRAM:PACKAGE...: installs the packages of those programs that are not there, all in one go.
ensure() {
  local item missing=()
  for item in "$@"; do
    has "${item%%:*}" || missing+=("${item#*:}")
  done
  if [ ${#missing[@]} -gt 0 ]; then apt_install "${missing[@]}"; fi
}

# --- Deno -------------------------------------------------------------------------------------------------------------
deno_places() { # where a deno may be that is not in PATH
  printf '%s\n' "$CACHE/deno/node_modules/.bin" "${DENO_INSTALL:-${HOME:-/root}/.deno}/bin"
  if has npm; then echo "$(npm prefix -g 2>/dev/null)/bin"; fi
}
deno_works() { # this Deno or a later one of the same major version
  local have
  have=$("$1" --version 2>/dev/null | sed -n '1s/^deno \([0-9.]*\).*/\1/p') || return 1
  [ "${have%%.*}" = "${DENO_VERSION%%.*}" ] &&
    [ "$(printf '%s\n%s\n' "$DENO_VERSION" "$have" | sort -V | head -1)" = "$DENO_VERSION" ]
}
find_deno() { # puts a fitting deno in front of PATH
  local place
  if has deno && deno_works deno; then return; fi
  while read -r place; do
    if [ -x "$place/deno" ] && deno_works "$place/deno"; then
      PATH=$place:$PATH
      return
    fi
  done < <(deno_places)
  return 1
}
ensure_deno() {
  if find_deno; then return; fi
  if ! has npm; then
    deno_from_its_host && find_deno && return
    is_root || die "missing Deno; install Deno $DENO_VERSION, or npm (as root: apt-get install -y npm), and start this again"
    apt_install npm
  fi
  say "installing Deno $DENO_VERSION from npm"
  local to=(--global)
  is_root || to=(--prefix "$CACHE/deno") # needs no rights
  guarded timeout 600 npm install --no-fund --no-audit --loglevel=error "${to[@]}" "deno@$DENO_VERSION" \
    </dev/null >"$CACHE/logs/npm.log" 2>&1 ||
    die "npm install deno@$DENO_VERSION failed: $(complaint "$CACHE/logs/npm.log") (log: $CACHE/logs/npm.log)"
  hash -r
  find_deno || die "npm installed deno@$DENO_VERSION, but it does not run on this machine"
}
# Tried only where there is no npm, which on Debian brings hundreds of packages along.
deno_from_its_host() {
  has curl && has unzip || return 1
  local zip="$CACHE/deno.zip" arch
  case $(uname -m) in x86_64) arch=x86_64 ;; aarch64) arch=aarch64 ;; *) return 1 ;; esac
  say "looking for Deno $DENO_VERSION at its own host"
  curl -fsS --connect-timeout 5 -m 300 -o "$zip" \
    "https://dl.deno.land/release/v$DENO_VERSION/deno-$arch-unknown-linux-gnu.zip" 2>/dev/null || return 1
  mkdir -p "$CACHE/deno/node_modules/.bin"
  unzip -qo "$zip" -d "$CACHE/deno/node_modules/.bin" && rm -f "$zip"
}
# Fetches the libraries that deno.lock pins.
ensure_libraries() {
  say "fetching the libraries of deno.lock"
  guarded env -C "$ROOT" timeout 600 deno install --frozen --quiet </dev/null >"$CACHE/logs/deno-install.log" 2>&1 ||
    die "deno install failed: $(complaint "$CACHE/logs/deno-install.log") (log: $CACHE/logs/deno-install.log)"
}
# Builds the program that the agent mounts into every kernel; a moment, when it is built already.
ensure_runner() {
  ensure patchelf:patchelf
  say "building the in-container runner"
  guarded env -C "$ROOT" timeout 600 deno task --quiet runner:build </dev/null >"$CACHE/logs/runner-build.log" 2>&1 ||
    die "building the runner failed: $(complaint "$CACHE/logs/runner-build.log") (log: $CACHE/logs/runner-build.log)"
}
