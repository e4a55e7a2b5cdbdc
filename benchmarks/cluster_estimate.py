"""What a pod would give RoBERTa-large, on paper: the tables of docs/how-to/clusters.md.

    .venv/bin/python benchmarks/cluster_estimate.py

Nothing is measured. Peaks and bandwidths are those that the vendors publish; all parameters are on
each device, rows are split over devices, and gradients are added up once a step, after computing
and not meanwhile.
"""

import dataclasses
import math

BATCHES = (64, 8192)
EXAMPLES = 9_988  # MELD's training utterances
TOKENS = 256  # a row: one example that fills the prompt budget
PARAMETERS = 355_000_000  # RoBERTa-large
LAYERS, WIDTH = 24, 1024
# Of the published peak. One H100 reached 17 to 23% here (BUILD_NOTES.md, 2026-11-26).
MFU = 0.25
# float32 parameters and Adam's two moments; float32 gradients; a bfloat16 copy to compute with.
STATE, GRADIENT, COPY = 12, 4, 2


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Devices that work on one step, by their vendor's numbers.

    Attributes:
      name: as in the tables.
      devices: how many.
      peak: bfloat16 products of one, dense, in FLOP/s.
      memory: of one, in bytes.
      inside: bytes a second that one sends to others of its node or slice.
      node: devices a node or slice.
      between: bytes a second that one sends to other nodes.
    """

    name: str
    devices: int
    peak: float
    memory: float
    inside: float
    node: int
    between: float = math.inf


# cloud.google.com/tpu/docs/v5e: 197 TFLOP/s, 16 GB, all-reduce 51.2 TB/s a pod of 256.
_V5E = Cluster("1 v5e", 1, peak=197e12, memory=16e9, inside=51.2e12 / 256, node=256)
# H100 SXM's data sheet: 989 TFLOP/s (half of the sparse 1,979), 80 GB, NVLink 900 GB/s, half of it
# each way; DGX H100's: eight 400 Gbit/s adapters for eight GPUs.
_H100 = Cluster("1 H100", 1, peak=989e12, memory=80e9, inside=450e9, node=8, between=50e9)
CLUSTERS = (
    _V5E,
    dataclasses.replace(_V5E, name="v5e-256", devices=256),
    _H100,
    dataclasses.replace(_H100, name="64 H100", devices=64),
)


def row_flops() -> float:
    """Of a row, forward and backward: 6 a weight of the layers and token, and attention's scores
    and mixing, twice 2 * tokens * width a token and layer, three times.

    Embeddings are looked up, not multiplied; heads and the contrastive loss are left out.
    """
    weights = 12 * LAYERS * WIDTH**2
    attention = 12 * LAYERS * TOKENS * WIDTH
    return TOKENS * (6.0 * weights + attention)


def compute_seconds(cluster: Cluster, batch: int) -> float:
    """Of a step: of the device with most rows."""
    return math.ceil(batch / cluster.devices) * row_flops() / (MFU * cluster.peak)


def all_reduce_seconds(cluster: Cluster) -> float:
    """Of a step's gradients: added up inside each node, then between nodes, a part by each device,
    then handed out; at full bandwidth, without latency.
    """
    size = PARAMETERS * GRADIENT
    node = min(cluster.node, cluster.devices)
    nodes = cluster.devices // node
    inside = 2 * (node - 1) / node * size / cluster.inside
    return inside + 2 * (nodes - 1) / nodes * size / node / cluster.between


def step_seconds(cluster: Cluster, batch: int) -> float:
    """Computing, then adding up."""
    return compute_seconds(cluster, batch) + all_reduce_seconds(cluster)


def epoch_seconds(cluster: Cluster, batch: int) -> float:
    """Of stage one on MELD; the last batch is padded and takes as long as the others."""
    return math.ceil(EXAMPLES / batch) * step_seconds(cluster, batch)


def computing_batch(cluster: Cluster, share: float = 0.9) -> int:
    """Examples a step from which a share of it is computing."""
    rows = share / (1 - share) * all_reduce_seconds(cluster) / compute_seconds(cluster, 1)
    return math.ceil(rows) * cluster.devices


def memory_table() -> str:
    """What each device holds and sends: as Markdown."""
    lines = [
        "| | state, GB | with gradients and bfloat16 copy | of GB | parameters that would fit,"
        " billions | gradients added up, GB a step | seconds | batch from which 90% of a step is"
        " computing |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cluster in CLUSTERS:
        each = STATE + GRADIENT + COPY
        parallel = cluster.devices > 1
        lines.append(
            f"| {cluster.name} | {PARAMETERS * STATE / 1e9:.2f} | {PARAMETERS * each / 1e9:.2f}"
            f" | {cluster.memory / 1e9:.0f} | {cluster.memory / each / 1e9:.1f}"
            + (
                f" | {PARAMETERS * GRADIENT / 1e9:.2f} | {all_reduce_seconds(cluster):.4f}"
                f" | {computing_batch(cluster):,} |"
                if parallel
                else " | - | - | - |"
            )
        )
    return "\n".join(lines)


def time_table() -> str:
    """Steps and epochs: as Markdown."""
    lines = [
        "| batch | | PFLOP a step | computing, s | adding up, s | a step, s | an epoch of MELD, s"
        " | times one device | of all devices' peak |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for batch in BATCHES:
        flops = batch * row_flops()
        for cluster in CLUSTERS:
            if cluster.devices == 1:
                alone = step_seconds(cluster, batch)
            step = step_seconds(cluster, batch)
            used = flops / (step * cluster.peak * cluster.devices)
            lines.append(
                f"| {batch:,} | {cluster.name} | {flops / 1e15:.3f}"
                f" | {compute_seconds(cluster, batch):.4f} | {all_reduce_seconds(cluster):.4f}"
                f" | {step:.4f} | {epoch_seconds(cluster, batch):.1f} | {alone / step:.1f}"
                f" | {used:.1%} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(memory_table(), time_table(), sep="\n\n")
