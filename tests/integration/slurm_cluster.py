"""A cluster of Slurm's on this machine: a controller and two nodes, `left` and `right`.

Everything is its own: configuration, munge key and socket, ports, state. The nodes share this
machine's processors, and have no GPU: ``--gres`` is not tried here.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.conftest import ROOT, lacking
from tests.unit.runs import infer, train

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel")
NODES = ("left", "right")
NODE_LOST_S = 6
"""How long a silent node is waited for; Slurm looks about three times in that time."""

CONFIGURATION = """
ClusterName=harness-test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/linear
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1
ReturnToService=2
SlurmdTimeout={lost}
KillWait=5
MpiDefault=none
NodeName=left NodeHostname={host} NodeAddr=127.0.0.1 Port={left} CPUs=2 Feature=small
NodeName=right NodeHostname={host} NodeAddr=127.0.0.1 Port={right} CPUs=2 Feature=large
PartitionName=main Nodes=left,right Default=YES State=UP MaxTime=60
"""

WORKLOAD = """
import json, os, sys, time

def of(name):
    return sys.argv[sys.argv.index(name) + 1]

spec = json.load(open(of("--spec")))
print("measuring batch", spec["batch_size"], flush=True)
time.sleep(spec["batch_size"])
for name, content in {files!r}.items():
    with open(os.path.join(of("--out"), name), "w") as file:
        json.dump(content, file)
"""
"""Stands where the workload stands: takes as many seconds as its batch has images."""

NODE = """
import sys
from pathlib import Path
from harness.executors import inline
from harness.cli import main
inline.workload_folder = lambda: Path({workload!r})
sys.argv[0] = "harness"
main()
"""


@dataclass
class Cluster:
    """A running cluster; its commands find it by SLURM_CONF."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]]

    def start(self, name: str, *line: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def start_node(self, name: str) -> None:
        self.start(name, "slurmd", "-D", "-N", name)

    def lose(self, node: str) -> None:
        """The node is gone from one moment to the next, with all that it ran.

        What would report a task's end to the controller goes before the task.
        """
        self.daemons.pop(node).kill()
        for process in self._tasks(node):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _tasks(self, node: str) -> list[psutil.Process]:
        script = str(self.folder / f"spool-{node}" / "job")
        environment = f"SLURMD_NODENAME={node}"
        parents, found = [], []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                mine = script in " ".join(process.cmdline())
                text = Path(f"/proc/{process.pid}/environ").read_bytes().decode("utf-8", "replace")
                here = f"SLURM_CONF={self.folder}/slurm.conf" in text and environment in text
                if mine or here:
                    found.append(process)
                    parents += [one for one in process.parents() if "slurmstepd" in one.name()]
        return list(dict.fromkeys([*parents, *found]))

    def jobs(self) -> list[str]:
        """What waits or runs now."""
        return squeue("--format=%i %T").splitlines()

    def up(self) -> bool:
        return squeue_of("sinfo", "--noheader", "--Node", "--format=%N %T").split() == [
            *("left", "idle", "right", "idle")
        ]

    def end(self) -> None:
        if "slurmctld" in self.daemons:
            subprocess.run(["scancel", "--quiet", "--user=root"], check=False, timeout=60)
        for node in NODES:
            if node in self.daemons:
                self.lose(node)
        for daemon in reversed(list(self.daemons.values())):
            daemon.send_signal(signal.SIGTERM)
        for daemon in self.daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def squeue(*options: str) -> str:
    return squeue_of("squeue", "--noheader", "--array", *options)


def squeue_of(*line: str) -> str:
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for it. Fails the test where it takes longer."""
    late = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < late, f"not within {seconds} s: {what}"
        time.sleep(0.1)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster in `folder`, up; nothing of it is left afterwards."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        lacking(f"Slurm is not here ({', '.join(missing)}): apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        lacking("needs root, to be Slurm's own user")
    for name in ("state", "munge", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir()
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    ports = dict(zip(("controller", *NODES), _free_ports(3), strict=True))
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(folder=folder, host=host, lost=NODE_LOST_S, **ports)
    (folder / "slurm.conf").write_text(text)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    cluster = Cluster(folder, {})
    try:
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log"}
        files["seed-file"] = "seed"
        places = [f"--{name}={folder / 'munge' / file}" for name, file in files.items()]
        cluster.start("munged", "munged", "--foreground", "--force", *places)
        until((folder / "munge" / "socket").exists, 20, "munge's socket")
        cluster.start("slurmctld", "slurmctld", "-D")
        for node in NODES:
            cluster.start_node(node)
        until(lambda: _answers() and cluster.up(), 120, "both nodes idle")
        yield cluster
    finally:
        cluster.end()
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


def _answers() -> bool:
    asked = subprocess.run(["sinfo"], capture_output=True, check=False, timeout=60)
    return asked.returncode == 0


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def node_python(folder: Path) -> Path:
    """What stands for the harness's interpreter on a node: all is real but the workload."""
    workload, module = folder / "workload", folder / "node.py"
    workload.mkdir()
    files = {"timing-train.json": train(), "timing-infer.json": infer()}
    (workload / "__main__.py").write_text(WORKLOAD.replace("{files!r}", repr(files)))
    module.write_text(NODE.format(workload=str(workload)))
    script = folder / "python"
    # python -m harness attempt FOLDER
    script.write_text(
        f'#!/bin/sh\nshift 2\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "{module}" "$@"\n'
    )
    script.chmod(0o755)
    return script
