#!/usr/bin/env bash
# Builds the local kernel image (Debian minbase + python3 + ipykernel) and the docker label contract.
# The apt mirror is the one this machine itself uses. Only the original agent needs this image: ours takes any with Python.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); . "$HERE/env.sh"
ref=$IMAGE_NAME:$IMAGE_TAG
if docker image inspect "$ref" >/dev/null 2>&1 && [ -z "${FORCE:-}" ]; then echo "image $ref exists"; exit 0; fi
root=${ROOTFS:-$WORK_DIR/rootfs}
if [ ! -e "$root/usr/bin/python3" ]; then
  # empty (this machine has no bookworm): debootstrap takes its own
  # shellcheck disable=SC2016 # apt fills these in
  mirror=${APT_MIRROR:-$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' \
    2>/dev/null | awk '$1 == "bookworm" && $2 == "main" { print $3; exit }')}
  rm -rf --one-file-system "$root.partial"
  # shellcheck disable=SC2086
  debootstrap --variant=minbase --include=python3,python3-ipykernel,python3-zmq,python3-cffi-backend,libboost-regex1.74.0,procps,gcc,libc6-dev \
    bookworm "$root.partial" $mirror >"$LOGS/debootstrap.log" 2>&1 || { tail -3 "$LOGS/debootstrap.log" >&2; exit 1; }
  mv "$root.partial" "$root"   # an interrupted run starts afresh
fi
ln -sf python3 "$root/usr/bin/python"
# The published runner environment (ubuntu16.04 flavour, uvloop+ctypes) links against libffi.so.6,
# libssl.so.1.0.0 and libcrypto.so.1.0.0, which bookworm no longer has. Old manylinux1 wheels (cffi,
# psycopg2-binary) carry copies; they are installed under those names.
libdir=$root/usr/lib/x86_64-linux-gnu
if [ ! -e "$libdir/libssl.so.1.0.0" ]; then
  mkdir -p "$WORK_DIR/legacy"
  for p in cffi==1.14.0 psycopg2-binary==2.7.7; do
    "$VENV_DIR/agt/bin/python" -m pip download -q --no-deps --only-binary :all: --platform manylinux1_x86_64 \
      --python-version 36 --implementation cp --abi cp36m -d "$WORK_DIR/legacy" "$p"
  done
  ( cd "$WORK_DIR/legacy" && for w in *.whl; do python3 -m zipfile -e "$w" .; done )
  install -m 755 "$(find "$WORK_DIR/legacy" -name 'libffi*.so.6*')" "$libdir/libffi.so.6"
  install -m 755 "$WORK_DIR"/legacy/psycopg2/.libs/*.so* "$libdir/"
  ( cd "$libdir" && ln -sf libssl-*.so.1.0.2* libssl.so.1.0.0 && ln -sf libcrypto-*.so.1.0.2* libcrypto.so.1.0.0 )
fi
# The agent's static dropbear tools (glibc 2.23) crash when they dlopen this glibc's NSS stubs; glibc >= 2.34
# has "files" built in and does not need them.
rm -f "$libdir"/libnss_files.so.2 "$libdir"/libnss_compat.so*
mkdir -p "$root/usr/libexec" "$root/opt/container" "$root/home"
tar -C "$root" --exclude=./var/cache/apt --exclude=./var/lib/apt/lists --exclude=./usr/share/doc \
    --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -c . |
docker import \
  -c 'LABEL ai.backend.kernelspec=1' \
  -c 'LABEL ai.backend.features="uid-match batch query user-input tty"' \
  -c 'LABEL ai.backend.base-distro=ubuntu16.04' \
  -c 'LABEL ai.backend.runtime-type=python' \
  -c 'LABEL ai.backend.runtime-path=/usr/bin/python3' \
  -c 'LABEL ai.backend.resource.min.cpu=1' \
  -c 'LABEL ai.backend.resource.min.mem=128m' \
  -c 'LABEL ai.backend.envs.corecount=OMP_NUM_THREADS,NPROC' \
  -c 'LABEL ai.backend.service-ports=web:http:8070' \
  -c 'CMD ["/bin/sh"]' - "$ref" >/dev/null
docker image inspect -f "built $ref {{.Id}}" "$ref"
