#!/usr/bin/env bash
# What `make browser` does: installs Debian's chromium, where there is none, on a Debian machine and as root. Anywhere else
# it says so, and the tests that need a browser are skipped.
set -euo pipefail
if command -v chromium >/dev/null; then
  exit
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "no chromium, which is installed only on Debian as root: tests in a browser will be skipped" >&2
  exit
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation; } >"$log" 2>&1; then
  tail -3 "$log" >&2
  echo "chromium could not be installed: tests in a browser will be skipped" >&2
fi
rm "$log"
