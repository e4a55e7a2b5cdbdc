#!/usr/bin/env bash
# A run on Cloud TPU VMs: one command on every machine of a slice, started and stopped from here.
#
#   export TPU=eacl ZONE=us-west4-a TYPE=v5litepod-16 RUNTIME=v2-alpha-tpuv5-lite
#   launch/clusters/tpu_vm.sh create          # asks for the machines and waits for them
#   launch/clusters/tpu_vm.sh install         # the last commit of this checkout, on all of them
#   launch/clusters/tpu_vm.sh run train --config=configs/meld.py --workdir=gs://my-runs/meld
#   launch/clusters/tpu_vm.sh stop            # all save at the same step; `run` again goes on
#   launch/clusters/tpu_vm.sh delete          # and what lies on their disks
#
# For a folder in place of an address: export SHARE=10.0.0.2:/runs before all of it, an NFS export
# such as Filestore's; --workdir=/shared/meld.
set -euo pipefail

: "${TPU:?not set: a name for the machines, such as TPU=eacl}"
: "${ZONE:?not set: where they are, such as ZONE=us-west4-a}"
SHARE=${SHARE:-}
FOLDER=${FOLDER:-/shared} # where all machines see SHARE
SPOT=${SPOT:-}            # SPOT=1: cheaper, and may be taken away at any time
PYTHON=${PYTHON:-3.12}    # the machines' Python may be older than 3.11
WAIT=${WAIT:-30}          # seconds between questions whether the machines are there

on() { # on WORKERS COMMAND
  gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker="$1" --command="$2"
}

case "${1:-}" in
  create)
    : "${TYPE:?not set: kind and size of the slice, such as TYPE=v5litepod-16}"
    : "${RUNTIME:?not set: image of the machines, such as RUNTIME=v2-alpha-tpuv5-lite}"
    gcloud compute tpus queued-resources create "$TPU" --node-id="$TPU" --zone="$ZONE" \
      --accelerator-type="$TYPE" --runtime-version="$RUNTIME" ${SPOT:+--spot}
    while true; do
      state=$(gcloud compute tpus queued-resources describe "$TPU" --zone="$ZONE" \
        --format='value(state.state)')
      echo "$TPU: $state"
      case "$state" in
        ACTIVE) break ;;
        FAILED | SUSPEND*)
          echo "error: $TPU is $state: delete it and ask again, elsewhere or for fewer" >&2
          exit 1
          ;;
      esac
      sleep "$WAIT"
    done
    ;;
  install)
    archive=$(mktemp)
    trap 'rm -f "$archive"' EXIT
    git -C "$(dirname "$0")/../.." archive --format=tar.gz --output="$archive" HEAD
    gcloud compute tpus tpu-vm scp "$archive" "$TPU:eacl_jax.tar.gz" --zone="$ZONE" --worker=all
    # Runs and files of one's own may lie among the code: only what an earlier install put there
    # goes, and what was built of it.
    on all "set -e
      mkdir -p eacl_jax && cd eacl_jax
      [ ! -f .installed ] || xargs -r -d '\\n' rm -f -- <.installed
      rm -rf .venv build eacl_jax.egg-info
      tar -tzf ../eacl_jax.tar.gz | grep -v '/\$' >.installed
      tar -xzf ../eacl_jax.tar.gz
      python3 -m pip install --quiet --user uv
      ~/.local/bin/uv venv --quiet --python $PYTHON .venv
      ~/.local/bin/uv pip install --quiet --python .venv/bin/python --constraint constraints.txt '.[tpu,stores]'
      [ -n '$SHARE' ] || exit 0
      sudo apt-get install -y -qq nfs-common >/dev/null
      sudo mkdir -p $FOLDER
      mountpoint -q $FOLDER || sudo mount -t nfs $SHARE $FOLDER"
    ;;
  run)
    shift
    [ $# -gt 0 ] || { echo "error: run what? such as: $0 run train --config=..." >&2; exit 2; }
    case " $*" in
      *" --workdir="$FOLDER* | *" --workdir "$FOLDER*)
        : "${SHARE:?not set: an NFS export for runs, such as SHARE=10.0.0.2:/runs}"
        ;;
    esac
    on all "cd eacl_jax && exec .venv/bin/eacl$(printf ' %q' "$@")"
    ;;
  stop)
    on 0 "pkill -TERM -f 'bin/[e]acl '"
    ;;
  delete)
    gcloud compute tpus queued-resources delete "$TPU" --zone="$ZONE" --force --quiet
    ;;
  *)
    echo "usage: $0 create|install|run COMMAND...|stop|delete" >&2
    exit 2
    ;;
esac
