"""How many devices a run's batches keep busy.

A batch's rows come in multiples of the number of devices. With more devices than rows, the others
compute rows of padding: a step takes as long as with fewer.
"""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Literal

from eacl_jax.data.batching import choose_shapes, round_up
from eacl_jax.errors import UserError
from eacl_jax.model.mesh import Mesh, make_mesh

log = logging.getLogger(__name__)

# With a smaller share of rows that hold something, half of the devices would be as fast.
ENOUGH = 1 / 2


@dataclasses.dataclass(frozen=True)
class DeviceUse:
    """What a step has for its devices to do.

    Attributes:
      examples: of a batch.
      rows: that they need, at most.
      devices: that share the rows.
    """

    examples: int
    rows: int
    devices: int

    @property
    def made(self) -> int:
        """Rows of a batch."""
        return round_up(self.rows, self.devices)

    @property
    def share(self) -> float:
        """Of the rows made, those that hold something; 1 with one device."""
        return self.rows / self.made

    @property
    def enough(self) -> int:
        """Devices that do a step as fast, more than half of their rows used: as many as rows, up to
        a power of two. So many TPU chips fill a rectangle, as a mesh of them must.
        """
        return min(self.devices, 1 << (self.rows - 1).bit_length())

    @property
    def filling(self) -> int:
        """Examples of a batch that gives each device a full row, about."""
        return -(-self.examples * self.devices // self.rows)

    def __str__(self) -> str:
        return (
            f"the {self.examples} examples of a batch (config.stage_one.batch_size) need"
            f" {self.rows} rows, and {self.devices} devices make {self.made} of them, of which"
            f" {self.share:.0%} hold something"
        )


def rows_needed(
    lengths: Sequence[int], size: int, *, layout: Literal["padded", "packed"], max_tokens: int
) -> int:
    """The most rows that are foreseen for a batch on one device.

    Args:
      lengths: tokens of every example.
      size: examples of a batch.
      layout: "padded" or "packed".
      max_tokens: of an example.
    """
    if layout == "padded":
        return size
    return choose_shapes(lengths, size, max_tokens=max_tokens).counts[-1]


def well_used(
    mesh: Mesh, use: DeviceUse, *, examples: int, least: float, may_leave_out: bool
) -> Mesh:
    """The mesh that a run takes: without devices that would compute nothing but padding, where they
    can be left out. Those of several processes cannot: each process has to take part.

    Args:
      mesh: all devices that there are.
      use: of them.
      examples: to train on.
      least: share of the rows that must hold something; 0 allows anything.
      may_leave_out: whether fewer devices than the mesh's may be taken.

    Returns:
      The mesh itself or one of its first devices. A warning says so, or that many devices have
      nothing to do.

    Raises:
      UserError: the share is below `least`, and no devices can be left out.
    """
    if use.share >= ENOUGH:
        return mesh
    devices = list(mesh.devices.flat)
    # A batch is never larger than what there is to train on.
    larger = (
        f"batches of {use.filling} examples, which is another recipe, would give all of them"
        " something to do"
        if use.filling <= examples
        else ""
    )
    if may_leave_out and len({device.process_index for device in devices}) == 1:
        log.warning(
            "%s. Only the first %d devices are used%s.",
            *(use, use.enough, larger and f"; {larger}"),
        )
        return make_mesh(devices[: use.enough])
    advice = f"{use.rows} devices or fewer would be well used{larger and f', or {larger}'}"
    if use.share < least:
        raise UserError(
            f"{use}, less than config.run.least_device_use={least:g} asks for: {advice}. Set it to"
            " 0 to run like this."
        )
    log.warning("%s: %s.", use, advice)
    return mesh
