"""What stands at a run's address, whatever comes between."""

import itertools
import json
import shutil

import pytest

from eacl_jax.errors import UserError
from eacl_jax.files import stores
from eacl_jax.training import mirror
from eacl_jax.training.mirror import Mirror

_buckets = itertools.count()


@pytest.fixture
def address():
    return f"memory://mirror{next(_buckets)}/run"


@pytest.fixture
def begun(address, tmp_path):
    """A mirror that has claimed its address, and whose thread does nothing."""
    found = Mirror(address, tmp_path / "runs" / "one", lambda: None)
    found.open()
    found.claim()
    (found.folder / "config.json").write_text("{}")
    yield found
    found.close(flush=False)


def write_step(one, step, stage="stage_one", names=("a", "d/b")):
    for name in names:
        file = one.folder / "checkpoints" / stage / str(step) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{step}")


def delete_step(one, step, stage="stage_one"):
    shutil.rmtree(one.folder / "checkpoints" / stage / str(step))


def steps(address):
    """Of checkpoints that a run would go on from."""
    fresh = Mirror.__new__(Mirror)
    fresh.address = address
    return {int(step) for _, step in fresh._whole_there(stores.objects(address))}


def test_the_former_checkpoint_stays_until_the_next_is_whole(begun, monkeypatch):
    write_step(begun, 20)
    begun.flush()
    assert steps(begun.address) == {20}
    write_step(begun, 30)
    delete_step(begun, 20)

    # 30 is set aside while it is held fast, as 40 comes.
    def gone(*_, **__):
        raise FileNotFoundError

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copytree", gone)
        begun.flush()
    assert steps(begun.address) == {20}
    begun.flush()
    assert steps(begun.address) == {30}
    assert not [name for name in stores.objects(begun.address) if "/20/" in name]


def test_a_checkpoint_that_goes_while_it_is_sent_is_sent_whole(begun, monkeypatch):
    write_step(begun, 20)
    send = stores.send

    def and_lose(file, address):
        if "/20/" in address and (begun.folder / "checkpoints" / "stage_one" / "20").exists():
            delete_step(begun, 20)
        send(file, address)

    monkeypatch.setattr(stores, "send", and_lose)
    begun.flush()
    assert steps(begun.address) == {20}


def test_the_best_goes_before_the_latest(begun, monkeypatch):
    for step in (100, 95):
        write_step(begun, step)
    sent, write = [], stores.write_bytes

    def noted(address, content):
        sent.append(address)
        write(address, content)

    monkeypatch.setattr(stores, "write_bytes", noted)
    begun.flush()
    assert [each.split("/")[-2] for each in sent if each.endswith("/whole.json")] == ["95", "100"]


def test_a_checkpoint_that_lacks_something_does_not_count(begun):
    write_step(begun, 20)
    begun.flush()
    stores.remove(begun.address, ["checkpoints/stage_one/20/a"])
    assert steps(begun.address) == set()


def test_a_model_is_sent_before_what_makes_it_one_and_results_last(begun, monkeypatch):
    (begun.folder / "model" / "encoder").mkdir(parents=True)
    for name in ("results.json", "model/heads.safetensors", "model/encoder/model.safetensors"):
        (begun.folder / name).write_text("1")
    sent = []
    monkeypatch.setattr(stores, "send", lambda _, address: sent.append(address))
    begun.flush()
    assert [each.removeprefix(f"{begun.address}/") for each in sent] == [
        "config.json",
        "model/encoder/model.safetensors",
        "model/heads.safetensors",
        "results.json",
    ]


def test_what_a_killed_run_left_here_is_sent_and_nothing_is_removed(begun, tmp_path):
    write_step(begun, 20)
    begun.flush()
    # Killed after it had written more, and while another program tidied up its folder.
    delete_step(begun, 20)
    (begun.folder / "metrics.jsonl").write_text("row\n")
    left = tmp_path / "left"
    shutil.copytree(begun.folder, left)
    begun.close(flush=False)
    shutil.copytree(left, begun.folder)
    again = Mirror(begun.address, begun.folder, lambda: None)
    again.open()
    assert steps(begun.address) == {20}
    assert stores.read_bytes(f"{begun.address}/metrics.jsonl") == b"row\n"
    assert (again.folder / "checkpoints" / "stage_one" / "20" / "d" / "b").read_text() == "20"
    again.close(flush=False)


def test_a_claim_that_was_tidied_away_is_made_again(begun):
    stores.remove(begun.address, [".user.json"])
    begun.flush()
    assert json.loads(stores.read_bytes(f"{begun.address}/.user.json"))["token"]
    stores.write_bytes(f"{begun.address}/.user.json", b'{"token": "other", "user": "process 7"}')
    write_step(begun, 20)
    with pytest.raises(UserError, match=r"a run that began later has taken .* \(process 7\)"):
        begun.flush()


def test_one_that_lost_its_address_while_sending_marks_nothing_whole(begun, monkeypatch):
    write_step(begun, 20)
    send = stores.send

    def and_lose(file, address):
        send(file, address)
        stores.write_bytes(f"{begun.address}/.user.json", b'{"token": "other"}')

    monkeypatch.setattr(stores, "send", and_lose)
    with pytest.raises(UserError, match="has taken this address"):
        begun.flush()
    assert steps(begun.address) == set()


def test_an_object_is_no_folder(address, tmp_path):
    stores.write_bytes(address, b"1")
    with pytest.raises(UserError, match=f"workdir {address} is an object; name a folder"):
        Mirror(address, tmp_path / "runs" / "one", lambda: None).open()


def test_a_folder_that_could_not_be_sent_is_sent_by_the_next(begun, monkeypatch):
    def fail(*_):
        raise UserError("no network.")

    monkeypatch.setattr(mirror, "_AGAIN", ())
    with monkeypatch.context() as patched:
        patched.setattr(stores, "send", fail)
        with pytest.raises(UserError, match="no network"):
            begun.close(flush=True)
    assert begun.kept
    again = Mirror(begun.address, begun.folder, lambda: None)
    again.open()
    assert stores.read_bytes(f"{begun.address}/config.json") == b"{}"
    again.close(flush=False)
