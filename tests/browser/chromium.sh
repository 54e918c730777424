#!/usr/bin/env bash
# Install Debian's chromium, as root on a Debian machine that has none. With --ask, install it only after a yes at a terminal.
# Without chromium the tests that need a browser are skipped.
set -euo pipefail
skipped="tests in a browser are skipped"
if command -v chromium >/dev/null; then
  exit
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "there is no chromium, which make browser installs on Debian as root: $skipped" >&2
  exit
fi
if [ "${1:-}" = --ask ]; then
  answer=no
  if [ -t 0 ]; then
    read -r -p "Tests in a browser need chromium. Install it on this machine with apt-get? [y/N] " answer
  fi
  if [[ ! $answer =~ ^[Yy] ]]; then
    echo "there is no chromium (make browser installs it): $skipped" >&2
    exit
  fi
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation; } >"$log" 2>&1; then
  tail -3 "$log" >&2
  echo "chromium could not be installed: $skipped" >&2
fi
rm "$log"
