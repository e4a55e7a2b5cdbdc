"""`Batch` as a pytree of JAX: imported by what gives batches to it or takes them from it. Where
they are made JAX is not imported, as a program without it makes them too.
"""

import jax

from eacl_jax.data.batching import Batch as Batch

jax.tree_util.register_dataclass(Batch)
