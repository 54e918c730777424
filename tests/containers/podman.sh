#!/usr/bin/env bash
# Install what `make test-containers` needs where there is no Docker, as root on a Debian machine.
set -euo pipefail
# `command -v` of several names is content with one of them.
if command -v podman >/dev/null && command -v runc >/dev/null && command -v debootstrap >/dev/null; then
  exit
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "podman is installed on Debian as root only" >&2
  exit 1
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends \
  podman runc netavark aardvark-dns conmon uidmap debootstrap; } >"$log" 2>&1; then
  tail -3 "$log" >&2
  exit 1
fi
rm "$log"
