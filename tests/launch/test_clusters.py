"""The cluster scripts, run against stand-ins of gcloud, xpk, Slurm and kubectl."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from jax._src.clusters import SlurmCluster

from tests.stubs.cluster_programs import StandIns, make_stand_ins
from tests.stubs.root import ROOT

SCRIPTS = ROOT / "launch" / "clusters"
SHELL = sorted([*SCRIPTS.glob("*.sh"), *SCRIPTS.glob("*.sbatch")])
# Something that a shell would take apart, or fill in, if it were not quoted.
COMMAND = ["train", "--config=configs/meld.py", "--workdir=/shared/it's $HOME & more"]
AT_ADDRESS = [*COMMAND[:-1], "--workdir=gs://my-runs/meld"]
VARIABLES = {
    "tpu_vm.sh": {
        "TPU": "pod",
        "ZONE": "us-west4-a",
        "TYPE": "v5litepod-8",
        "RUNTIME": "v2-alpha-tpuv5-lite",
        "SHARE": "10.0.0.2:/runs",
    },
    "xpk.sh": {
        "CLUSTER": "pod",
        "PROJECT": "mine",
        "ZONE": "us-west4-a",
        "TYPE": "v5litepod-256",
        "NAME": "meld",
        "IMAGE": "registry.example.org/eacl:1",
        "STORAGE": "runs",
    },
    "jobset.sh": {
        "NAME": "meld",
        "IMAGE": "registry.example.org/eacl:1",
        "CLAIM": "runs",
        "PROCESSES": "3",
    },
}
# Which command of a script asks for a variable.
COMMANDS = {"TYPE": ["create"], "RUNTIME": ["create"], "SHARE": ["run", *COMMAND]}


@pytest.fixture
def stand_ins(tmp_path) -> StandIns:
    return make_stand_ins(tmp_path / "stand_ins")


def run(stand_ins, script, *arguments, cwd=ROOT, without="", **variables):
    """A script's outcome."""
    environment = {**stand_ins.environment, **VARIABLES.get(Path(script).name, {}), **variables}
    environment.pop(without, None)
    return subprocess.run(
        [str(script), *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )


def options(call) -> dict[str, str]:
    """Options of a recorded call."""
    words = [each for each in call["arguments"] if each.startswith("--")]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_a_shell_can_read_it(script):
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\n" in text
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)


@pytest.mark.parametrize(
    ("script", "variable"),
    [(script, variable) for script, known in VARIABLES.items() for variable in known],
)
def test_a_missing_variable_is_named_in_one_line(script, variable, stand_ins):
    command = COMMANDS.get(variable, COMMAND) if script == "tpu_vm.sh" else COMMAND
    ended = run(stand_ins, SCRIPTS / script, *command, without=variable)
    assert ended.returncode != 0
    assert re.fullmatch(rf".*\b{variable}: not set: .+ such as {variable}=.+\n", ended.stderr)
    assert not (stand_ins.folder / "calls.jsonl").exists()


@pytest.mark.parametrize("script", VARIABLES)
def test_nothing_to_run_is_an_error(script, stand_ins):
    ended = run(stand_ins, SCRIPTS / script)
    assert ended.returncode == 2
    assert re.fullmatch(r"(error|usage): .*\n", ended.stderr)


def commit(checkout, *commands):
    """Git commands, and a commit after them."""
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (*commands, ["commit", "-qm", "All"]):
        subprocess.run([*git, *command], check=True)


class TestSlurm:
    """sbatch runs the script, srun starts three processes."""

    @pytest.fixture
    def submit(self, stand_ins, tmp_path):
        """sbatch from a checkout that holds nothing but the command."""
        checkout = tmp_path / "checkout"
        (checkout / ".venv" / "bin").mkdir(parents=True)
        (checkout / ".venv" / "bin" / "eacl").symlink_to(stand_ins.folder / "bin" / "eacl")

        def submitted(does, *arguments, **variables):
            return run(
                stand_ins,
                stand_ins.folder / "bin" / "sbatch",
                "--nodes=3",
                SCRIPTS / "slurm.sbatch",
                *arguments,
                cwd=checkout,
                EACL_DOES=does,
                **variables,
            )

        return submitted

    def test_jax_finds_the_processes(self, submit, stand_ins, monkeypatch):
        assert submit("done", *COMMAND).returncode == 0
        calls = stand_ins.calls("eacl")
        assert [call["arguments"] for call in calls] == [COMMAND] * 3
        found = []
        for call in calls:
            for name, value in call["environment"].items():
                monkeypatch.setenv(name, value)
            assert SlurmCluster.is_env_present()
            found.append(
                (
                    SlurmCluster.get_coordinator_address(None, None),
                    SlurmCluster.get_process_count(),
                    SlurmCluster.get_process_id(),
                    SlurmCluster.get_local_process_id(),
                )
            )
            assert call["environment"]["SRUN_CPUS_PER_TASK"] == "16"
        (address,) = {each[0] for each in found}
        assert address.startswith("gpu007:")
        assert sorted(each[1:] for each in found) == [(3, 0, 0), (3, 1, 0), (3, 2, 0)]

    def test_what_is_asked_of_slurm(self, submit, stand_ins):
        submit("done", *COMMAND)
        (call,) = stand_ins.calls("sbatch")
        asked = call["options"]
        assert asked["signal"] == "TERM@120"  # to the processes: with B: to the script alone
        assert asked["ntasks-per-node"] == "1"
        assert asked["open-mode"] == "append"
        assert "requeue" in asked
        assert asked["nodes"] == "3"

    def test_a_stopped_job_is_queued_again_and_goes_on(self, submit, stand_ins):
        """Process 0 saves for longer than the others, and is not killed for it."""
        ended = submit("stop,done", *COMMAND)
        assert ended.returncode == 0, ended.stderr
        assert sorted((stand_ins.folder / "saved").read_text()) == ["0", "1", "2"]
        assert len(stand_ins.calls("scontrol")) == 1
        assert [call["arguments"] for call in stand_ins.calls("eacl")] == [COMMAND] * 6

    @pytest.mark.parametrize(("does", "status"), [("fail", 2), ("done", 0)])
    def test_a_job_that_ended_is_not(self, does, status, submit, stand_ins):
        assert submit(does, *COMMAND).returncode == status
        assert not stand_ins.calls("scontrol")

    def test_a_command_on_the_path_will_do(self, submit, stand_ins):
        ended = submit("done", *COMMAND, EACL="eacl")
        assert ended.returncode == 0, ended.stderr
        assert [call["arguments"] for call in stand_ins.calls("eacl")] == [COMMAND] * 3

    def test_mistakes_are_told_in_one_line(self, submit, stand_ins, tmp_path):
        assert re.fullmatch(r"error: run what\?.*\n", submit("done").stderr)
        shutil.rmtree(stand_ins.folder / "spool")
        (tmp_path / "checkout" / ".venv" / "bin" / "eacl").unlink()
        ended = submit("done", *COMMAND)
        assert ended.returncode == 2
        assert re.fullmatch(r"error: no \.venv/bin/eacl in .*\n", ended.stderr)


class TestTpuVm:
    """Two machines, which are folders."""

    @pytest.fixture
    def script(self, tmp_path) -> Path:
        """The script in a checkout of its own, with a file that is not committed."""
        checkout = tmp_path / "checkout"
        shutil.copytree(SCRIPTS, checkout / "launch" / "clusters")
        (checkout / "constraints.txt").write_text("jax==0\n")
        commit(checkout, ["init", "-q"], ["add", "."])
        (checkout / "not-committed").touch()
        return checkout / "launch" / "clusters" / "tpu_vm.sh"

    @pytest.mark.parametrize("spot", ["", "1"])
    def test_it_waits_for_the_machines(self, spot, stand_ins):
        (stand_ins.folder / "states").write_text("WAITING_FOR_RESOURCES PROVISIONING ACTIVE")
        ended = run(stand_ins, SCRIPTS / "tpu_vm.sh", "create", WAIT="0", SPOT=spot)
        assert ended.returncode == 0
        assert ended.stdout.splitlines()[-1] == "pod: ACTIVE"
        create, *asked = stand_ins.calls("gcloud")
        expected = {
            "--node-id": "pod",
            "--zone": "us-west4-a",
            "--accelerator-type": "v5litepod-8",
            "--runtime-version": "v2-alpha-tpuv5-lite",
        }
        assert options(create) == (expected | {"--spot": ""} if spot else expected)
        assert len(asked) == 3

    def test_it_does_not_wait_for_what_never_comes(self, stand_ins):
        (stand_ins.folder / "states").write_text("PROVISIONING FAILED ACTIVE")
        ended = run(stand_ins, SCRIPTS / "tpu_vm.sh", "create", WAIT="0")
        assert ended.returncode == 1
        assert ended.stderr.startswith("error: pod is FAILED")

    def test_all_machines_get_the_commit_and_run_the_command(self, script, stand_ins):
        folders = [stand_ins.folder / f"worker-{i}" / "eacl_jax" for i in range(2)]
        ended = run(stand_ins, script, "install")
        assert ended.returncode == 0, ended.stderr
        for folder in folders:
            assert (folder / "constraints.txt").exists()
            assert not (folder / "not-committed").exists()
        mounted = [call for call in stand_ins.calls("sudo") if call["arguments"][0] == "mount"]
        assert len(mounted) == 2
        assert mounted[0]["arguments"][1:] == ["-t", "nfs", "10.0.0.2:/runs", "/shared"]

        assert run(stand_ins, script, "run", *COMMAND).returncode == 0
        calls = stand_ins.calls("eacl")
        assert [call["arguments"] for call in calls] == [COMMAND] * 2
        assert sorted(call["cwd"] for call in calls) == sorted(map(str, folders))

    def test_installing_again_replaces_the_commit_and_nothing_else(self, script, stand_ins):
        assert run(stand_ins, script, "install").returncode == 0
        folder = stand_ins.folder / "worker-0" / "eacl_jax"
        own = [folder / "runs" / "meld" / "config.json", folder / "launch" / "my own.py"]
        for file in own:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("mine")
        (folder / "build").mkdir()  # an older package, which the next would be made of
        checkout = script.parents[2]
        (checkout / "constraints.txt").write_text("jax==1\n")
        commit(checkout, ["rm", "-q", "launch/clusters/Dockerfile"], ["add", "constraints.txt"])
        ended = run(stand_ins, script, "install")
        assert ended.returncode == 0, ended.stderr
        assert [file.read_text() for file in own] == ["mine", "mine"]
        assert (folder / "constraints.txt").read_text() == "jax==1\n"
        assert not (folder / "launch" / "clusters" / "Dockerfile").exists()
        assert not (folder / "build").exists()

    def test_for_a_run_at_an_address_nothing_is_mounted(self, script, stand_ins):
        assert run(stand_ins, script, "install", without="SHARE").returncode == 0
        assert not [c for c in stand_ins.calls("sudo") if c["arguments"][0] == "mount"]
        ended = run(stand_ins, script, "run", *AT_ADDRESS, without="SHARE")
        assert ended.returncode == 0, ended.stderr
        assert [call["arguments"] for call in stand_ins.calls("eacl")] == [AT_ADDRESS] * 2

    def test_stopping_asks_one_process_and_not_its_own_shell(self, stand_ins):
        assert run(stand_ins, SCRIPTS / "tpu_vm.sh", "stop").returncode == 0
        (call,) = stand_ins.calls("pkill")
        assert call["arguments"][:2] == ["-TERM", "-f"]
        pattern = re.compile(call["arguments"][2])
        (ssh,) = stand_ins.calls("gcloud")
        assert pattern.search("/home/me/eacl_jax/.venv/bin/python .venv/bin/eacl train --config=x")
        assert not pattern.search(f"bash -c {options(ssh)['--command']}")

    def test_deleting(self, stand_ins):
        assert run(stand_ins, SCRIPTS / "tpu_vm.sh", "delete").returncode == 0
        (call,) = stand_ins.calls("gcloud")
        assert call["arguments"][2:5] == ["queued-resources", "delete", "pod"]


def start(stand_ins, command, **variables) -> subprocess.Popen:
    """A container's command."""
    return subprocess.Popen(command, env={**stand_ins.environment, **variables})


def test_xpk(stand_ins):
    ended = run(stand_ins, SCRIPTS / "xpk.sh", *COMMAND)
    assert ended.returncode == 0, ended.stderr
    (call,) = stand_ins.calls("xpk")
    asked = options(call)
    assert asked["--workload"] == "meld"
    assert asked["--tpu-type"] == "v5litepod-256"
    assert asked["--restart-on-exit-codes"] == "2"
    # xpk runs it in the background of a shell and sends its SIGTERM to that process.
    shell = f"({asked['--command']}) & echo $! >{stand_ins.folder}/process; wait $!"
    assert start(stand_ins, ["bash", "-c", shell]).wait(timeout=20) == 0
    (started,) = stand_ins.calls("eacl")
    assert started["arguments"] == COMMAND
    assert started["process"] == int((stand_ins.folder / "process").read_text())


class TestJobSet:
    """What kubectl is given, and what its pods would run."""

    @pytest.fixture
    def applied(self, stand_ins) -> dict:
        ended = run(stand_ins, SCRIPTS / "jobset.sh", *COMMAND)
        assert ended.returncode == 0, ended.stderr
        return yaml.safe_load((stand_ins.folder / "applied.yaml").read_text())

    def test_all_is_filled_in(self, applied, stand_ins):
        text = (stand_ins.folder / "applied.yaml").read_text()
        assert not re.search(r"\$\{", "\n".join(re.sub(r"#.*", "", text).splitlines()))
        assert applied["metadata"]["name"] == "meld"

    def test_as_many_pods_as_processes(self, applied):
        (job,) = applied["spec"]["replicatedJobs"]
        spec = job["template"]["spec"]
        assert job["replicas"] == 1
        assert spec["completionMode"] == "Indexed"
        assert spec["completions"] == spec["parallelism"] == 3

    def test_each_pod_knows_its_number_and_finds_the_first(self, applied, stand_ins):
        (job,) = applied["spec"]["replicatedJobs"]
        (container,) = job["template"]["spec"]["template"]["spec"]["containers"]
        for index in range(3):
            process = start(stand_ins, container["command"], JOB_COMPLETION_INDEX=str(index))
            assert process.wait(timeout=20) == 0
            call = stand_ins.calls("eacl")[index]
            assert call["arguments"] == COMMAND
            name = applied["metadata"]["name"]
            # Pod 0's name is the JobSet's, the job's, and the job's and the pod's number.
            expected = f"{name}-{job['name']}-0-0.{name}:8476,3,{index}"
            assert call["environment"]["EACL_JAX_DISTRIBUTED"] == expected
            assert call["process"] == process.pid  # SIGTERM reaches it

    def test_a_failed_pod_begins_all_anew(self, applied):
        (job,) = applied["spec"]["replicatedJobs"]
        spec = job["template"]["spec"]
        assert applied["spec"]["failurePolicy"]["maxRestarts"] == 10
        assert spec["backoffLimit"] == 0
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 120

    def test_volumes_exist(self, applied):
        pod = applied["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == volumes
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "runs"


def test_a_run_at_an_address_needs_no_storage_that_machines_share(stand_ins):
    for script, variable in (("xpk.sh", "STORAGE"), ("jobset.sh", "CLAIM")):
        ended = run(stand_ins, SCRIPTS / script, *AT_ADDRESS, without=variable)
        assert ended.returncode == 0, ended.stderr
    assert "--storage" not in options(stand_ins.calls("xpk")[0])
    applied = yaml.safe_load((stand_ins.folder / "applied.yaml").read_text())
    pod = applied["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    assert pod["volumes"][0]["emptyDir"] == {}


@pytest.mark.parametrize(("script", "variable"), [("xpk.sh", "STORAGE"), ("jobset.sh", "CLAIM")])
@pytest.mark.parametrize(
    "workdir",
    [["--workdir=runs/meld"], ["--workdir", "/tmp/shared/meld"], ["--workdir=/shared"], []],
)
def test_a_run_that_would_be_lost_with_its_container_is_refused(
    script, variable, workdir, stand_ins
):
    ended = run(stand_ins, SCRIPTS / script, *COMMAND[:-1], *workdir)
    assert ended.returncode == 2
    assert re.fullmatch(
        rf"error: --workdir must be .* below /shared .*{variable}.*\n", ended.stderr
    )
    assert not (stand_ins.folder / "calls.jsonl").exists()


def test_every_script_is_in_the_guide():
    guide = (ROOT / "docs" / "how-to" / "clusters.md").read_text(encoding="utf-8")
    assert not [path.name for path in SCRIPTS.iterdir() if f"clusters/{path.name}" not in guide]


def test_the_guides_two_processes_start(stand_ins, tmp_path):
    """The block that a laptop runs: as many commands as it says, each with its number."""
    guide = (ROOT / "docs" / "how-to" / "clusters.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "--distributed=localhost" in block]
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "eacl").symlink_to(stand_ins.folder / "bin" / "eacl")
    subprocess.run(["bash", "-ec", block], check=True, cwd=tmp_path, env=stand_ins.environment)
    given = [options(call)["--distributed"].split(",") for call in stand_ins.calls("eacl")]
    assert sorted(index for _, _, index in given) == ["0", "1"]
    assert {(address, count) for address, count, _ in given} == {("localhost:8476", "2")}
