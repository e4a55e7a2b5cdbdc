"""Where test utterances and anchors lie on a flat map."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

MOST_POINTS = 1500
# t-SNE says little about fewer points than this, and its neighbourhoods cannot be smaller.
FEWEST_FOR_TSNE = 5


@dataclasses.dataclass(frozen=True)
class Map:
    """A flat map.

    Attributes:
      method: "t-SNE" or "PCA".
      rows: which of the N utterances are drawn.
      points: where they lie. before, after: where the anchors of stage one and of stage two do, a
        label's side by side.
    """

    method: str
    rows: Int[np.ndarray, " n"]
    points: Float[np.ndarray, "n 2"]
    before: Float[np.ndarray, "A 2"]
    after: Float[np.ndarray, "A 2"]


def unit(vectors: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Rows scaled to length 1; a row of zeros stays as it is."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)


def label_cosines(anchors: Float[np.ndarray, "A m"], classes: int) -> Float[np.ndarray, "C C"]:
    """Cosine of every label's anchor to every other's; of labels with several (A = C k, a label's
    side by side) of the two that are nearest. A label to itself: 1.
    """
    several = len(anchors) // classes
    directions = unit(np.asarray(anchors, np.float64))
    every = np.clip(directions @ directions.T, -1.0, 1.0)
    return every.reshape(classes, several, classes, several).max(axis=(1, 3))


def _principal(vectors: Float[np.ndarray, "n m"], most: int) -> Float[np.ndarray, "n k"]:
    u, s, vt = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    # A singular vector's sign is arbitrary: the largest loading is made positive, so that no
    # machine mirrors the map.
    signs = np.sign(vt[np.arange(len(vt)), np.abs(vt).argmax(axis=1)])
    components = (u * s * np.where(signs == 0, 1.0, signs))[:, :most]
    return np.pad(components, ((0, 0), (0, max(0, 2 - components.shape[1]))))


def project(
    representations: Float[np.ndarray, "N m"],
    before: Float[np.ndarray, "A m"],
    after: Float[np.ndarray, "A m"],
) -> Map | None:
    """Lays directions (vectors of length 1, as the cosine score sees them) on a plane, utterances
    and anchors together.

    t-SNE from the first 50 principal components, started from the first two. PCA alone where there
    are too few utterances for neighbourhoods. Deterministic; of more than 1500 utterances, a fixed
    seed draws 1500.

    Returns:
      The map, or None where a vector is not finite or there is no utterance.
    """
    if not len(representations) or not all(
        np.isfinite(v).all() for v in (representations, before, after)
    ):
        return None
    rows = np.arange(len(representations))
    if len(rows) > MOST_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_POINTS, replace=False))
    together = unit(np.concatenate([representations[rows], before, after]).astype(np.float64))
    # One thread: sums keep their order, and on a busy machine threads that wait for each other cost
    # ten times the work.
    with threadpool_limits(limits=1):
        components = _principal(together, 50)
        spread = float(components[:, 0].std())
        method, places = "PCA", components[:, :2]
        if len(rows) >= FEWEST_FOR_TSNE and spread > 1e-9:
            method = "t-SNE"
            perplexity = min(30.0, (len(together) - 1) / 3)
            # The scale of the start is the one scikit-learn's own init="pca" uses.
            start = (components[:, :2] / spread * 1e-4).astype(np.float32)
            places = TSNE(
                perplexity=perplexity, init=start, max_iter=500, random_state=0
            ).fit_transform(components)
    points, first, second = np.split(
        np.asarray(places, np.float64), [len(rows), len(rows) + len(before)]
    )
    return Map(method, rows, points, first, second)
