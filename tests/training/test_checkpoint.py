"""Checkpoints: read back once, and what errors say of damaged ones."""

import json
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from eacl_jax.data.pipeline import endless_batches, iterate
from eacl_jax.errors import UserError
from eacl_jax.training.checkpoint import Checkpoints

TREE = {"a": jnp.arange(1000.0), "b": {"c": jnp.ones((3, 4))}}


def position():
    batches = iterate(endless_batches(10, 2, 0, lambda indices: indices))
    next(batches)
    return batches


def save(checkpoints, step, rank):
    checkpoints.save(step, TREE, {"best_epoch": step}, data=position(), rank=[rank])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A stage's folder with its best checkpoint, 2, and its latest, 4."""
    folder = tmp_path_factory.mktemp("checkpoints") / "stage"
    checkpoints = Checkpoints(folder)
    save(checkpoints, 2, 1.0)
    save(checkpoints, 4, 0.5)
    checkpoints.close()
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "stage")
    return tmp_path / "stage"


def restored(folder):
    checkpoints = Checkpoints(folder)
    try:
        return checkpoints.restore(checkpoints.latest_step, TREE, data=position())
    finally:
        checkpoints.close()


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without_position(step):
    file = step / "record" / "metadata"
    record = json.loads(file.read_text())
    del record["position"]
    file.write_text(json.dumps(record))


def test_the_data_go_on_from_their_position(folder):
    checkpoints, batches = Checkpoints(folder), iterate(endless_batches(10, 2, 0, lambda i: i))
    _, record = checkpoints.restore(4, TREE, data=batches)
    checkpoints.close()
    assert record == {"best_epoch": 4}
    assert np.array_equal(next(batches), next(position()))


def layered(stacked):
    """Three layers in a state, stacked or one by one."""
    kernel, matrix = np.arange(24.0).reshape(3, 2, 4), np.arange(6.0).reshape(3, 2, 1)
    one = {str(n): {"query": {"kernel": k}} for n, k in enumerate(kernel)}
    encoder = {"layers": {"query": {"kernel": kernel}} if stacked else one}
    lora = {f"layers.{n}.query": {"a": a} for n, a in enumerate(matrix)}
    branches = {"encoder": encoder, "lora": {"layers.query": {"a": matrix}} if stacked else lora}
    return {"params": branches, "moments": (branches, {"step": jnp.ones(())})}


@pytest.mark.parametrize("stacked", [True, False])
def test_layers_may_be_laid_out_otherwise(tmp_path, stacked):
    """As on a machine where another layout is faster."""
    checkpoints = Checkpoints(tmp_path / "stage")
    checkpoints.save(1, jax.tree.map(jnp.asarray, layered(stacked)), {}, data=position(), rank=[1])
    wanted = jax.tree.map(jnp.asarray, layered(not stacked))
    found, _ = checkpoints.restore(1, jax.tree.map(jnp.zeros_like, wanted))
    chex.assert_trees_all_equal(found, wanted)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(found))
    del wanted["params"]["lora"]
    wanted["params"]["more"] = jnp.ones(2)
    with pytest.raises(UserError, match=r"(?s)more: expected float.*lora/layers.*: not"):
        checkpoints.restore(1, wanted)
    checkpoints.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda step: shutil.rmtree(step / "state"),
        lambda step: (step / "state" / "_METADATA").unlink(),
        lambda step: cut(step / "state" / "_METADATA"),
        lambda step: cut(step / "state" / "_sharding"),
        lambda step: shutil.rmtree(step / "state" / "d"),
        lambda step: (step / "state" / "manifest.ocdbt").unlink(),
        lambda step: [cut(file) for file in (step / "state" / "ocdbt.process_0" / "d").iterdir()],
        lambda step: shutil.rmtree(step / "record"),
        lambda step: cut(step / "record" / "metadata"),
        without_position,
        lambda step: cut(step / "metrics" / "metrics"),
    ],
)
def test_damage_is_named_in_a_line(folder, damage):
    damage(folder / "4")
    with pytest.raises(UserError, match=str(folder)) as error:
        restored(folder)
    assert "\n" not in str(error.value)
    assert "; delete " in str(error.value)


def test_the_advice_is_what_helps(folder):
    shutil.rmtree(folder / "4" / "state")
    with pytest.raises(UserError, match=f"delete {folder / '4'} to go on from step 2"):
        restored(folder)
    shutil.rmtree(folder / "4")
    assert restored(folder)[1] == {"best_epoch": 2}
    shutil.rmtree(folder / "2" / "state")
    with pytest.raises(UserError, match=f"delete {folder} to train anew"):
        restored(folder)


def test_folders_that_are_no_checkpoints(folder):
    (folder / "999").mkdir()
    (folder / "notes").mkdir()
    assert restored(folder)[1] == {"best_epoch": 4}
    (folder / "999").mkdir()
    (folder / "999" / "note").touch()
    with pytest.raises(UserError, match=f"delete {folder / '999'} to go on from step 4"):
        restored(folder)


def test_what_all_devices_have_is_written_by_one(tmp_path):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    copied, shared = (NamedSharding(mesh, spec) for spec in (P(), P("data")))
    tree = {"a": jax.device_put(TREE["a"], copied), "b": jax.device_put(TREE["a"], shared)}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, tree, {}, data=position(), rank=[0.0])
    found, _ = checkpoints.restore(1, tree)
    checkpoints.close()
    for name, array in found.items():
        assert np.array_equal(array, TREE["a"])
        assert array.sharding.is_equivalent_to(tree[name].sharding, 1)
    written = json.loads((tmp_path / "1/state/array_metadatas/process_0").read_text())
    shapes = {
        each["array_metadata"]["param_name"]: each["array_metadata"]["write_shape"]
        for each in written["array_metadatas"]
    }
    assert shapes == {"a": [1000], "b": [250]}


def test_the_first_checkpoint_is_read_back(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "stage")
    original = checkpoints._manager.restore
    read = []

    def changed(step, args):
        result = original(step, args=args)
        read.append(step)
        return type("Restored", (), {"state": {**result.state, "a": np.zeros(1000, np.float32)}})

    monkeypatch.setattr(checkpoints._manager, "restore", changed)
    with pytest.raises(UserError, match="the first checkpoint does not hold what was saved"):
        save(checkpoints, 2, 1.0)
    monkeypatch.setattr(
        checkpoints._manager,
        "restore",
        lambda step, args: read.append(step) or original(step, args=args),
    )
    save(checkpoints, 4, 1.0)
    save(checkpoints, 6, 1.0)
    assert read == [2, 4]
    checkpoints.close()


def test_a_path_that_is_taken_for_a_pattern_is_noticed(tmp_path):
    checkpoints = Checkpoints(tmp_path / "[a]")
    with pytest.raises(UserError, match="the first checkpoint does not hold what was saved"):
        save(checkpoints, 2, 1.0)
    checkpoints.close()
