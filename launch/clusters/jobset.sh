#!/usr/bin/env bash
# A run on GPU nodes of Kubernetes, as a JobSet. The image is made by Dockerfile, beside this.
#
#   export NAME=meld IMAGE=registry.example.org/eacl:1 PROCESSES=8 GPUS=8
#   launch/clusters/jobset.sh train --config=configs/meld.py --workdir=s3://my-runs/meld
#   kubectl logs --follow --selector=jobset.sigs.k8s.io/jobset-name=meld
#   kubectl delete jobset meld       # all save at the same step; the first command goes on
#
# For a folder in place of an address: export CLAIM=runs, a persistent volume claim with
# ReadWriteMany, seen as /shared; --workdir=/shared/meld.
set -euo pipefail

: "${NAME:?not set: a name for the run, such as NAME=meld}"
: "${IMAGE:?not set: an image that holds eacl, such as IMAGE=registry.example.org/eacl:1}"
: "${PROCESSES:?not set: the number of pods, such as PROCESSES=8}"
GPUS=${GPUS:-8}          # a pod
PORT=${PORT:-8476}       # of process 0
RESTARTS=${RESTARTS:-10} # after evictions and errors
GRACE=${GRACE:-120}      # seconds between SIGTERM and SIGKILL
[ $# -gt 0 ] || { echo "error: run what? such as: $0 train --config=..." >&2; exit 2; }
case " $*" in
  *" --workdir"[=\ ]gs://* | *" --workdir"[=\ ]s3://*) ;;
  *" --workdir"[=\ ]/shared/*)
    : "${CLAIM:?not set: a volume claim that all pods can write to, such as CLAIM=runs}"
    ;;
  *) # within a container, and lost with it
    echo "error: --workdir must be an address, gs://... or s3://..., or below /shared (with CLAIM)" >&2
    exit 2
    ;;
esac
# shellcheck disable=SC2034 # both by their names, below
VOLUME=${CLAIM:+"persistentVolumeClaim: {claimName: $CLAIM}"} VOLUME=${VOLUME:-"emptyDir: {}"}
# shellcheck disable=SC2034
COMMAND=$(printf '%q ' "$@")

filled=$(<"$(dirname "$0")/jobset.yaml")
for variable in NAME IMAGE VOLUME PROCESSES GPUS PORT RESTARTS GRACE COMMAND; do
  filled=${filled//"\${$variable}"/"${!variable}"}
done
kubectl apply -f - <<<"$filled"
