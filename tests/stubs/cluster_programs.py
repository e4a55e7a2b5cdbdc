"""Stand-ins for the programs that command a cluster: they write down what they are asked, refuse
options that the real ones do not have, and start what is to run on the cluster's machines here.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What all of them begin with.
_BEGINNING = f"""#!{sys.executable} -IS
import json, os, shutil, signal, subprocess, sys, time
from pathlib import Path

NAME, ARGUMENTS = Path(sys.argv[0]).name, sys.argv[1:]
FOLDER = Path(os.environ["STAND_INS"])

def record(**more):
    line = json.dumps({{"program": NAME, "arguments": ARGUMENTS, **more}}) + "\\n"
    with open(FOLDER / "calls.jsonl", "a") as file:
        file.write(line)

def options(known, arguments=None):
    found = {{}}
    for each in ARGUMENTS if arguments is None else arguments:
        if each.startswith("--"):
            name, _, value = each.partition("=")
            if name not in known.split():
                sys.exit(f"{{NAME}}: no option {{name}}")
            found[name] = value
    return found
"""

_PROGRAMS = {
    # What EACL_DOES says, one word a start of the job: "done", "fail", or "stop": wait for
    # SIGTERM, save, process 0 for longer, and end with 143.
    "eacl": """
index = os.environ.get("SLURM_PROCID", "0")
does = os.environ.get("EACL_DOES", "done").split(",")[int(os.environ.get("SLURM_RESTART_COUNT", 0))]
seen = ("SLURM_", "SRUN_", "EACL_", "JOB_")
kept = {key: value for key, value in os.environ.items() if key.startswith(seen)}

def save(*_):
    time.sleep(0.4 if index == "0" else 0.0)
    with open(FOLDER / "saved", "a") as file:
        file.write(index)
    sys.exit(143)

signal.signal(signal.SIGTERM, save)
record(cwd=os.getcwd(), environment=kept, process=os.getpid())
if does == "stop":
    time.sleep(20)
    sys.exit("no SIGTERM came")
sys.exit(2 if does == "fail" else 0)
""",
    # Runs the script at once, from a copy in another folder, and again when it was requeued.
    "sbatch": """
def read(words):
    return dict(word.removeprefix("--").partition("=")[::2] for word in words)

at = next(i for i, word in enumerate(ARGUMENTS) if not word.startswith("--"))
script = Path(ARGUMENTS[at])
lines = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH ")]
known = ("--job-name --nodes --ntasks-per-node --gpus-per-node --cpus-per-task --time --signal"
         " --requeue --open-mode --output")
asked = [line.split(maxsplit=1)[1] for line in lines] + ARGUMENTS[:at]
options(known, asked)
asked = read(asked)
record(options=asked)
copy = FOLDER / "spool"
copy.mkdir()
shutil.copy(script, copy / "slurm_script")
tasks = int(asked["nodes"]) * int(asked["ntasks-per-node"])
environment = {
    **os.environ, "SLURM_JOB_ID": "70123", "SLURM_NTASKS": str(tasks),
    "SLURM_JOB_NUM_NODES": asked["nodes"], "SLURM_CPUS_PER_TASK": asked["cpus-per-task"],
}
restarts = 0
while True:
    if restarts:
        environment["SLURM_RESTART_COUNT"] = str(restarts)
    status = subprocess.run(
        ["bash", copy / "slurm_script", *ARGUMENTS[at + 1 :]], env=environment
    ).returncode
    if not (FOLDER / "requeued").exists():
        sys.exit(status)
    (FOLDER / "requeued").unlink()
    restarts += 1
""",
    # A process a task. Those that are to be stopped get SIGTERM once all are there, as from
    # --signal.
    "srun": """
at = next(i for i, word in enumerate(ARGUMENTS) if not word.startswith("--"))
asked = options("--kill-on-bad-exit --wait", ARGUMENTS[:at])
record()
count = int(os.environ["SLURM_NTASKS"])
nodes = f"gpu[{'-'.join(f'{i:03}' for i in (7, 6 + count))}]" if count > 1 else "gpu007"
before = (FOLDER / "calls.jsonl").read_text().count('"program": "eacl"')
tasks = [
    subprocess.Popen(ARGUMENTS[at:], env={
        **os.environ, "SLURM_PROCID": str(i), "SLURM_LOCALID": "0", "SLURM_NODEID": str(i),
        "SLURM_STEP_NODELIST": nodes, "SLURM_STEP_NUM_NODES": str(count),
    })
    for i in range(count)
]
does = os.environ["EACL_DOES"].split(",")[int(os.environ.get("SLURM_RESTART_COUNT", 0))]
if does == "stop":
    while (FOLDER / "calls.jsonl").read_text().count('"program": "eacl"') < before + count:
        time.sleep(0.01)
    for task in tasks:
        task.terminate()
while any(task.poll() is None for task in tasks):
    if asked.get("--kill-on-bad-exit", "1") != "0" and any(task.poll() for task in tasks):
        for task in tasks:
            task.kill()
    time.sleep(0.01)
sys.exit(max(task.returncode if task.returncode >= 0 else 137 for task in tasks))
""",
    "scontrol": """
record()
if ARGUMENTS != ["requeue", "70123"]:
    sys.exit("scontrol: what?")
(FOLDER / "requeued").touch()
""",
    # Two machines, each a folder, in which commands really run.
    "gcloud": """
record()
if ARGUMENTS[:2] != ["compute", "tpus"]:
    sys.exit("gcloud: what?")
known = {
    ("queued-resources", "create"):
        "--node-id --zone --accelerator-type --runtime-version --spot",
    ("queued-resources", "describe"): "--zone --format",
    ("queued-resources", "delete"): "--zone --force --quiet",
    ("tpu-vm", "ssh"): "--zone --worker --command",
    ("tpu-vm", "scp"): "--zone --worker",
}
what = tuple(ARGUMENTS[2:4])
asked = options(known[what])
names = [each for each in ARGUMENTS[4:] if not each.startswith("--")]
homes = [FOLDER / f"worker-{i}" for i in range(2)]
if asked.get("--worker", "all") != "all":
    homes = [homes[int(asked["--worker"])]]
for home in homes:
    home.mkdir(exist_ok=True)
if what == ("queued-resources", "describe"):
    states = (FOLDER / "states").read_text().split()
    (FOLDER / "states").write_text(" ".join(states[1:]))
    print(states[0])
if what == ("tpu-vm", "scp"):
    for home in homes:
        shutil.copy(names[0], home / names[1].split(":")[1])
if what == ("tpu-vm", "ssh"):
    started = [
        subprocess.Popen(["bash", "-c", asked["--command"]], cwd=home,
                         env={**os.environ, "HOME": str(home)})
        for home in homes
    ]
    sys.exit(max(each.wait() for each in started))
""",
    # On those machines.
    "sudo": "record()",
    "mountpoint": "record()\nsys.exit(1)",
    "pkill": "record()",
    "python3": """
record()
bin = Path.home() / ".local" / "bin"
bin.mkdir(parents=True, exist_ok=True)
if not (bin / "uv").exists():
    (bin / "uv").symlink_to(FOLDER / "bin" / "uv")
""",
    "uv": """
record()
bin = Path(".venv/bin")
if ARGUMENTS[0] == "venv":
    bin.mkdir(parents=True)
    (bin / "python").touch()
else:
    assert (bin / "python").exists() and Path("constraints.txt").exists()
    (bin / "eacl").symlink_to(FOLDER / "bin" / "eacl")
""",
    # xpk 1.16.0's.
    "xpk": """
record()
if ARGUMENTS[:2] != ["workload", "create"]:
    sys.exit("xpk: what?")
options("--cluster --project --zone --workload --tpu-type --num-slices --docker-image --storage"
        " --max-restarts --restart-on-exit-codes --termination-grace-period-seconds --command",
        ARGUMENTS[2:])
""",
    "kubectl": """
record()
if ARGUMENTS != ["apply", "-f", "-"]:
    sys.exit("kubectl: what?")
(FOLDER / "applied.yaml").write_text(sys.stdin.read())
""",
}


@dataclass(frozen=True)
class StandIns:
    """A folder of programs.

    Attributes:
      folder: where they are, in bin/, and what they leave.
    """

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a process that is to find them before all others."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "STAND_INS": str(self.folder)}

    def calls(self, program: str) -> list[dict[str, Any]]:
        """What a program was asked, a dict a call."""
        path = self.folder / "calls.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [call for call in map(json.loads, lines) if call["program"] == program]


def make_stand_ins(folder: Path) -> StandIns:
    """Writes all of them into the folder's bin/."""
    (folder / "bin").mkdir(parents=True)
    for name, body in _PROGRAMS.items():
        path = folder / "bin" / name
        path.write_text(_BEGINNING + body, encoding="utf-8")
        path.chmod(0o755)
    return StandIns(folder)
