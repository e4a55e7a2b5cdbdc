#!/usr/bin/env bash
# A run on TPUs of Google Kubernetes Engine, through xpk. The image is made by Dockerfile, beside this.
#
#   export CLUSTER=pod PROJECT=my-project ZONE=us-west4-a TYPE=v5litepod-256
#   export NAME=meld IMAGE=us-docker.pkg.dev/my-project/eacl/tpu:1
#   launch/clusters/xpk.sh train --config=configs/meld.py --workdir=gs://my-runs/meld
#
# For a folder in place of an address: export STORAGE=runs, which `xpk storage create` or `attach`
# put at /shared; --workdir=/shared/meld. To stop the run, all saving
# at the same step: xpk workload delete --workload=NAME --cluster=CLUSTER ...; the same command
# starts it again, and it goes on.
set -euo pipefail

: "${CLUSTER:?not set: the cluster that xpk made, such as CLUSTER=pod}"
: "${PROJECT:?not set: the Google Cloud project, such as PROJECT=my-project}"
: "${ZONE:?not set: where the cluster is, such as ZONE=us-west4-a}"
: "${TYPE:?not set: kind and size of a slice, such as TYPE=v5litepod-256}"
: "${NAME:?not set: a name for the workload, such as NAME=meld}"
: "${IMAGE:?not set: an image that holds eacl, such as IMAGE=us-docker.pkg.dev/...}"
SLICES=${SLICES:-1}
RESTARTS=${RESTARTS:-10} # after preemptions and errors
GRACE=${GRACE:-120}      # seconds between SIGTERM and SIGKILL
[ $# -gt 0 ] || { echo "error: run what? such as: $0 train --config=..." >&2; exit 2; }
case " $*" in
  *" --workdir"[=\ ]gs://* | *" --workdir"[=\ ]s3://*) ;;
  *" --workdir"[=\ ]/shared/*)
    : "${STORAGE:?not set: storage that all machines see, such as STORAGE=runs}"
    ;;
  *) # within a container, and lost with it
    echo "error: --workdir must be an address, gs://... or s3://..., or below /shared (with STORAGE)" >&2
    exit 2
    ;;
esac

# exec, so that SIGTERM reaches eacl and not a shell around it. 143 is among the exit codes after
# which xpk starts again by itself; 2 is what processes end with that have lost another one.
xpk workload create --cluster="$CLUSTER" --project="$PROJECT" --zone="$ZONE" \
  --workload="$NAME" --tpu-type="$TYPE" --num-slices="$SLICES" \
  --docker-image="$IMAGE" ${STORAGE:+"--storage=$STORAGE"} \
  --max-restarts="$RESTARTS" --restart-on-exit-codes=2 \
  --termination-grace-period-seconds="$GRACE" \
  --command="exec eacl$(printf ' %q' "$@")"
