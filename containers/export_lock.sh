#!/bin/sh
# Write the part of requirements.lock that some extras need, with the same versions and hashes:
#   containers/export_lock.sh UV OUTPUT EXTRA...
set -eu
uv=$1 output=$2
shift 2
mkdir -p "$(dirname "$output")"
cp requirements.lock "$output"
# uv keeps the versions and hashes that it finds in its output.
# shellcheck disable=SC2046
"$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --build-constraints requirements.lock $(printf ' --extra %s' "$@") setup.cfg --output-file "$output"
# A package may be needed on other platforms than the lock says of all extras together; its version and hashes may not differ.
pinned=$(mktemp)
trap 'rm "$pinned"' EXIT
sed 's/ ;.*//; s/ \\$//' requirements.lock >"$pinned"
if unlocked=$(sed 's/ ;.*//; s/ \\$//' "$output" | grep -vxFf "$pinned"); then
  echo "requirements.lock lacks what setup.cfg asks for, run make lock:" >&2
  echo "$unlocked" | head -5 >&2
  rm "$output"
  exit 1
fi
