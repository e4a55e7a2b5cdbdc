"""What stands at a run's address, whatever comes between."""

import errno
import itertools
import json
import os
import shutil

import pytest

from eacl_jax.errors import UserError
from eacl_jax.files import stores
from eacl_jax.training import mirror
from eacl_jax.training.checkpoint import ASIDE
from eacl_jax.training.loop import StopRequest
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

    # 30 is set aside while it is linked, as 40 comes.
    def gone(*_, **__):
        write_step(begun, 40)
        delete_step(begun, 30)
        raise FileNotFoundError

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copytree", gone)
        assert not begun._pass()
    assert steps(begun.address) == {20}
    begun.flush()
    assert steps(begun.address) == {40}
    assert not [name for name in stores.objects(begun.address) if "/20/" in name]


def test_what_changed_while_it_was_sent_is_sent_again_before_the_end(begun, monkeypatch):
    write_step(begun, 20)
    copytree, tries = shutil.copytree, []

    def gone_once(source, *rest, **options):
        tries.append(source)
        if len(tries) == 1:
            write_step(begun, 30)
            delete_step(begun, 20)
            raise FileNotFoundError
        return copytree(source, *rest, **options)

    monkeypatch.setattr(mirror, "_AGAIN", (0,))
    monkeypatch.setattr(shutil, "copytree", gone_once)
    begun.flush()
    assert steps(begun.address) == {30}
    assert not begun.kept


def test_where_a_checkpoint_cannot_be_linked_or_copied_nothing_is_lost(begun, monkeypatch):
    write_step(begun, 20)
    (begun.folder / "results.json").write_text("{}")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def no_links(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(mirror, "_AGAIN", ())
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", no_links)
        patched.setattr(shutil, "copy2", full)
        with pytest.raises(
            UserError, match=r"run/checkpoints/stage_one/20 cannot be put.*No space"
        ):
            begun.close(flush=True)
    assert begun.kept
    assert (begun.folder / "results.json").exists()
    assert "results.json" not in stores.objects(begun.address)
    again = Mirror(begun.address, begun.folder, lambda: None)
    again.open()
    assert steps(begun.address) == {20}
    assert "results.json" in stores.objects(begun.address)
    again.close(flush=False)


@pytest.mark.parametrize("behind", [False, True])
def test_an_interrupt_gives_up_nothing_that_is_not_there(
    address, tmp_path, monkeypatch, caplog, behind
):
    def fail(*_):
        raise UserError("no network.")

    def interrupted(one):
        one.open()
        one.claim()
        (one.folder / "config.json").write_text("{}")
        one.flush()
        if behind:
            monkeypatch.setattr(stores, "send", fail)
            write_step(one, 20)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), mirror.mirrored(address, tmp_path, StopRequest()) as one:
        interrupted(one)
    assert one.folder.exists() == behind
    assert ("the same command, run again on this machine, puts it there" in caplog.text) == behind


def test_checkpoints_set_aside_go_while_the_store_is_away(begun, monkeypatch):
    def fail(*_):
        raise UserError("no network.")

    monkeypatch.setattr(stores, "send", fail)
    for step in ("10", "20", "30"):
        aside = begun.folder / "checkpoints" / "stage_one" / ASIDE / step
        aside.mkdir(parents=True)
        with pytest.raises(UserError, match="no network"):
            begun._pass()
        assert not aside.exists()


def test_an_address_where_another_has_gone_on_meanwhile_is_not_taken(begun, tmp_path):
    write_step(begun, 20)
    begun.flush()
    late = Mirror(begun.address, tmp_path / "runs" / "two", lambda: None)
    late.open()
    write_step(begun, 30)
    begun.flush()
    with pytest.raises(UserError, match="another run has put checkpoints there while"):
        late.claim()
    begun.flush()  # it still is this one's
    late.close(flush=False)
    assert not late.folder.exists()


def test_a_cache_whose_path_is_a_pattern_is_named(address, tmp_path):
    with (
        pytest.raises(UserError, match=r"cache\[1\], the cache folder.*EACL_JAX_CACHE"),
        mirror.mirrored(address, tmp_path / "cache[1]", StopRequest()),
    ):
        raise AssertionError


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
    shutil.rmtree(begun.folder)
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


def test_what_one_that_lost_its_address_left_stops_nobody(begun, tmp_path, monkeypatch):
    write_step(begun, 20)
    send = stores.send

    def and_lose(file, address):
        # Another takes the address and tidies up, while this one sends.
        stores.remove(begun.address, [n for n in stores.objects(begun.address) if "/20/" in n])
        stores.write_bytes(f"{begun.address}/.user.json", b'{"token": "other"}')
        send(file, address)

    with monkeypatch.context() as patched:
        patched.setattr(stores, "send", and_lose)
        with pytest.raises(UserError, match="has taken this address"):
            begun.flush()
    assert [name for name in stores.objects(begun.address) if "/20/" in name]
    stores.write_bytes(f"{begun.address}/config.json", b"{}")
    late = Mirror(begun.address, tmp_path / "runs" / "two", lambda: None)
    late.open()
    late.claim()
    late.flush()
    assert not [name for name in stores.objects(begun.address) if "/20/" in name]
    late.close(flush=True)


def put_folder(address, *steps, names=("config.json", "metrics.jsonl")):
    """As a program does that copies a begun run's folder."""
    for step in steps:
        names = (*names, *(f"checkpoints/stage_one/{step}/{name}" for name in ("a", "d/b")))
    for name in names:
        stores.write_bytes(f"{address}/{name}", b"{}")


@pytest.mark.parametrize("own", [False, True])
def test_a_begun_run_that_was_copied_there_is_refused_and_stays(begun, tmp_path, own):
    if own:  # a run of the address has gone on there before
        write_step(begun, 5)
        begun.flush()
    put_folder(begun.address, 6, 12)
    before = stores.objects(begun.address)
    late = Mirror(begun.address, tmp_path / "runs" / "two", lambda: None)
    with pytest.raises(
        UserError,
        match=r"no run has marked checkpoints/stage_one/6, checkpoints/stage_one/12 whole, as where"
        r" a folder was copied there.*copy the run to a folder on a disk and go on there",
    ):
        late.open()
    assert stores.objects(begun.address) == before
    # Without them, as its user may say, it begins anew or goes on from its own.
    stores.remove(begun.address, [n for n in before if "/6/" in n or "/12/" in n])
    late.open()
    assert late._steps == ({("stage_one", "5")} if own else set())
    late.close(flush=False)


def test_a_complete_run_that_was_copied_there_is_one(address, tmp_path):
    put_folder(address, 12, names=("config.json", "results.json"))
    one = Mirror(address, tmp_path / "runs" / "one", lambda: None)
    one.open()
    assert (one.folder / "results.json").exists()
    one.close(flush=True)
    assert len([name for name in stores.objects(address) if "/12/" in name]) == 2


def test_what_no_disk_would_take_for_a_checkpoint_stops_nobody(address, tmp_path):
    put_folder(address, "12.orbax-checkpoint-tmp-7", f"{ASIDE}/6")
    one = Mirror(address, tmp_path / "runs" / "one", lambda: None)
    one.open()
    one.close(flush=False)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_one_that_is_killed_while_it_takes_away_a_checkpoint_stops_nobody(
    begun, tmp_path, monkeypatch, after
):
    write_step(begun, 20)
    begun.flush()
    write_step(begun, 30)
    delete_step(begun, 20)
    remove = stores.remove

    def in_part(address, names):
        names = list(names)
        remove(address, names if "/20" not in address else names[:after])
        if "/20" in address:
            raise UserError("killed.")

    with monkeypatch.context() as patched:
        patched.setattr(stores, "remove", in_part)
        with pytest.raises(UserError, match="killed"):
            begun._pass()
    late = Mirror(begun.address, tmp_path / "runs" / "two", lambda: None)
    late.open()
    assert late._steps == {("stage_one", "30")}
    late.claim()
    late.flush()
    assert not [name for name in stores.objects(begun.address) if "/20/" in name]
    late.close(flush=True)


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
