#!/usr/bin/env bash
# Formatting, lint, types, the dependency rule and the freshness of generated files, after installing what that needs.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
ensure curl:curl
ensure_deno
ensure_libraries
guarded env -C "$ROOT" timeout 600 deno task --quiet check </dev/null
