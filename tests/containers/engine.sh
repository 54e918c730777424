# Sourced by `make test-containers`: find Docker or podman; for podman make a base image of Debian's packages, so that nothing is
# fetched from a registry of images.
#
# Sets ENGINE, DOCKER_HOST where podman serves it, BASE_IMAGE and BUILD_FLAGS.
CONTAINERS=$PWD/build/containers
mkdir -p "$CONTAINERS"

if docker info >/dev/null 2>&1; then
  ENGINE=docker
else
  ENGINE=podman
  for program in podman runc debootstrap; do
    if ! command -v "$program" >/dev/null; then
      echo "make test-containers needs Docker, or podman, runc and debootstrap: make podman installs these on Debian, as root" >&2
      exit 1
    fi
  done

  # runc, cgroupfs and low limits are what works inside another container, too.
  cat >"$CONTAINERS/containers.conf" <<'CONF'
[containers]
netns="host"
cgroupns="host"
default_ulimits=["nofile=16384:16384","nproc=16384:16384"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
CONF
  cat >"$CONTAINERS/storage.conf" <<CONF
[storage]
driver="overlay"
runroot="$CONTAINERS/run"
graphroot="$CONTAINERS/storage"
CONF
  export CONTAINERS_CONF=$CONTAINERS/containers.conf CONTAINERS_STORAGE_CONF=$CONTAINERS/storage.conf

  BASE_IMAGE=${BASE_IMAGE:-localhost/python-base:bookworm}
  if ! podman image exists "$BASE_IMAGE"; then
    echo "making a base image of Debian's packages"
    rm -rf "$CONTAINERS/base"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$CONTAINERS/base" \
      >"$CONTAINERS/debootstrap.log" || { tail -3 "$CONTAINERS/debootstrap.log" >&2; exit 1; }
    tar -C "$CONTAINERS/base" --exclude=./proc --exclude=./sys --exclude=./var/cache/apt/archives \
      -c . | podman import --quiet - "$BASE_IMAGE" >/dev/null
    rm -rf "$CONTAINERS/base"
  fi
  # What this machine trusts, while packages are installed: a company's own certificates, for one.
  BUILD_FLAGS="--volume /etc/ssl/certs:/etc/ssl/certs:ro"

  export DOCKER_HOST=unix://$CONTAINERS/podman.sock
  podman system service --time=0 "$DOCKER_HOST" >"$CONTAINERS/service.log" 2>&1 &
  SERVICE=$!
  trap 'kill $SERVICE' EXIT
fi
export ENGINE BASE_IMAGE BUILD_FLAGS
