# shellcheck shell=bash
# Kernel images for the demonstration and the tests; source it after engine.sh.
# Settings: KERNEL_IMAGE (use this one), PULL=0 (never ask a registry).
OWN_IMAGES=backendai-local
BUILT_IMAGE=$OWN_IMAGES/python:debian
PULLED_IMAGE=$OWN_IMAGES/python:slim
EMPTY_IMAGE=$OWN_IMAGES/nothing:typescript
PULL_FROM=python:3.13-slim
PYTHON_LABELS=(
  ai.backend.kernelspec=1
  'ai.backend.features=uid-match query batch user-input'
  ai.backend.runtime-type=python
  ai.backend.resource.min.cpu=1
  ai.backend.resource.min.mem=64m
)

image_exists() { timeout 30 docker image inspect "$1" >/dev/null 2>&1; }
# Sets PYTHON_IMAGE: a kernel image that is on this machine, else a pulled one, else one built from Debian packages.
ensure_python_image() {
  if [ -n "${KERNEL_IMAGE:-}" ]; then
    image_exists "$KERNEL_IMAGE" || die "there is no image KERNEL_IMAGE=$KERNEL_IMAGE on this Engine"
    PYTHON_IMAGE=$KERNEL_IMAGE
    return
  fi
  PYTHON_IMAGE=$(timeout 30 docker images --filter label=ai.backend.kernelspec \
    --filter label=ai.backend.runtime-type=python --format '{{.Repository}}:{{.Tag}}' | grep -v '<none>' | head -1) || true
  if [ -n "$PYTHON_IMAGE" ]; then return; fi
  if pull_python; then PYTHON_IMAGE=$PULLED_IMAGE; else build_python; fi
}
pull_python() {
  [ "${PULL:-1}" = 1 ] || return 1
  say "no kernel image here, asking the registry for $PULL_FROM"
  guarded timeout 300 docker pull -q "$PULL_FROM" </dev/null >"$CACHE/logs/pull.log" 2>&1 || {
    say "it cannot be pulled ($(tail -n 1 "$CACHE/logs/pull.log" | cut -c1-160))"
    return 1
  }
  local label file="FROM $PULL_FROM"
  for label in "${PYTHON_LABELS[@]}" ai.backend.runtime-path=/usr/local/bin/python3; do
    file+=$'\n'"LABEL ${label%%=*}=\"${label#*=}\""
  done
  printf '%s\n' "$file" | timeout 120 docker build -q -t "$PULLED_IMAGE" - >>"$CACHE/logs/pull.log" 2>&1
}
# Debian (or Ubuntu) with CPython, made from the packages of this machine's own release; about a minute.
build_python() {
  PYTHON_IMAGE=$BUILT_IMAGE
  if image_exists "$BUILT_IMAGE"; then return; fi
  is_root || die "a kernel image can only be built as root; name one of this Engine's images with KERNEL_IMAGE=…"
  ensure debootstrap:debootstrap
  local codename mirror root log=$CACHE/logs/debootstrap.log change=() label
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016 # apt fills these in
  mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v name="$codename" '$1 == name && $2 == "main" { print $3; exit }')
  say "building $BUILT_IMAGE from the packages of $codename (about a minute)"
  root=$(mktemp -d "$CACHE/image.XXXXXX")
  undo "rm -rf --one-file-system '$root'"
  # shellcheck disable=SC2086 # no mirror found: debootstrap knows one
  guarded timeout 600 debootstrap --variant=minbase --include=python3 "$codename" "$root" $mirror </dev/null >"$log" 2>&1 ||
    die "debootstrap failed: $(complaint "$log") (log: $log)"
  for label in "${PYTHON_LABELS[@]}" ai.backend.runtime-path=/usr/bin/python3; do
    change+=(--change "LABEL ${label%%=*}=\"${label#*=}\"")
  done
  tar -C "$root" --one-file-system --exclude=./var/cache/apt/* --exclude=./var/lib/apt/lists/* --exclude=./usr/share/doc/* \
    --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -c . |
    timeout 300 docker import "${change[@]}" --change 'CMD ["/bin/sh"]' - "$BUILT_IMAGE" >/dev/null ||
    die "docker import of $BUILT_IMAGE failed"
  rm -rf --one-file-system "$root"
}
# EMPTY_IMAGE: an image with nothing in it, not even a directory: the agent's own runner is all it takes to run TypeScript.
ensure_empty_image() {
  if ! image_exists "$EMPTY_IMAGE"; then
    tar -c --files-from /dev/null | timeout 60 docker import --change 'LABEL ai.backend.kernelspec=1' \
      --change 'LABEL ai.backend.features="query"' --change 'LABEL ai.backend.runtime-type=typescript' \
      --change 'LABEL ai.backend.resource.min.cpu=1' --change 'LABEL ai.backend.resource.min.mem=64m' \
      - "$EMPTY_IMAGE" >/dev/null || die "docker import of $EMPTY_IMAGE failed"
  fi
}
