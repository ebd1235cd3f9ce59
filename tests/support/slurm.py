"""A SLURM cluster of its own on this machine: munge, slurmctld, and a slurmd for each of some
"nodes".

Everything lies in one directory and listens on 127.0.0.1 at free ports, so it clashes with no other
SLURM.
"""

import getpass
import os
import re
import signal
import socket
import subprocess
import sysconfig
import time
from pathlib import Path

import psutil

from support.tools import need

_CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={directory}/munge/socket,cred_expire=10
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool.%n
TmpFS={directory}/tmp.%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=pmi2
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=0,batch_sched_delay=0,sched_interval=1
PropagateResourceLimitsExcept=MEMLOCK
SlurmdTimeout=8
InactiveLimit=0
KillWait=5
MinJobAge=600
JobRequeue=1
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] \\
  CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
_DONE = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE")


class Slurm:
    """A cluster that is up until `down`: `n1`, `n2`, … with some CPUs each.

    :param directory: where it keeps everything; its path must be short, since munge's socket lies
        in it.
    """

    def __init__(self, directory: Path, nodes: int = 3, cpus: int = 4) -> None:
        self.directory, self.nodes = directory, [f"n{n}" for n in range(1, nodes + 1)]
        ports = _free_ports(nodes + 1)
        values = {
            "host": socket.gethostname().partition(".")[0],
            "user": getpass.getuser(),
            "directory": directory,
        }
        values |= {
            "port": ports,
            "first": ports + 1,
            "last": ports + nodes,
            "nodes": nodes,
            "cpus": cpus,
        }
        for name in (
            "state",
            "munge",
            *(f"{kind}.{node}" for kind in ("spool", "tmp") for node in self.nodes),
        ):
            (directory / name).mkdir()
        (directory / "slurm.conf").write_text(_CONFIG.format(**values))
        scripts = sysconfig.get_path("scripts")
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SLURM")
        }
        self.environment |= {
            "SLURM_CONF": str(directory / "slurm.conf"),
            "PATH": f"{scripts}:{os.environ['PATH']}",
        }
        try:
            self._up()
        except BaseException:
            self.down()
            raise

    def _up(self) -> None:
        munge = self.directory / "munge"
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o600)
        munge.chmod(
            0o711
        )  # munged refuses a socket that others can't reach, and a key that they can read
        names = {
            "key-file": "key",
            "socket": "socket",
            "pid-file": "pid",
            "log-file": "log",
            "seed-file": "seed",
        }
        self.run(
            need("munged"), "--force", *(f"--{name}={munge / file}" for name, file in names.items())
        )
        self.run(need("slurmctld"))
        for node in self.nodes:
            self.start_node(node)
        self.wait_for(lambda: self._states("idle") == len(self.nodes), 60)

    def _states(self, state: str) -> int:
        return self.run("sinfo", "-h", "-N", "-o", "%t").stdout.split().count(state)

    def start_node(self, node: str) -> None:
        self.run(need("slurmd"), "-N", node)

    def kill_node(self, node: str) -> None:
        """Kill all that runs on a node at once, as a loss of power does."""
        for process in psutil.process_iter():
            if self._runs_on(process, node):
                _signal(process, signal.SIGKILL)

    def _runs_on(self, process: psutil.Process, node: str) -> bool:
        """Say whether a process is the node's slurmd, or was started by it."""
        try:
            if process.name().startswith("slurmd") and process.pid == _pid(
                self.directory / f"slurmd.{node}.pid"
            ):
                return True
            parents = [process, *process.parents()]
            return any(
                _pid(self.directory / f"slurmd.{node}.pid") == one.pid for one in parents
            ) or (
                process.environ().get("SLURM_CONF") == self.environment["SLURM_CONF"]
                and process.environ().get("SLURMD_NODENAME") == node
            )
        except psutil.Error:
            return False

    def run(
        self, *command: object, code: int = 0, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the cluster."""
        options = {"capture_output": True, "text": True, "timeout": 120, **options}
        result = subprocess.run([*map(str, command)], env=self.environment, **options)  # type: ignore[call-overload]
        assert result.returncode == code, (
            f"{command}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        )
        return result

    def sbatch(self, *arguments: object, directory: Path) -> str:
        """Submit a job from a directory and return its number."""
        return (
            self.run("sbatch", "--parsable", *arguments, cwd=directory)
            .stdout.strip()
            .partition(";")[0]
        )

    def show(self, job: str) -> dict[str, str]:
        """Return what SLURM says of a job, by name."""
        return dict(
            re.findall(r"(\w+)=(\S*)", self.run("scontrol", "-o", "show", "job", job).stdout)
        )

    def wait(self, job: str, seconds: float = 240) -> dict[str, str]:
        """Wait until a job is over and return what SLURM says of it."""
        self.wait_for(
            lambda: self.show(job)["JobState"] in _DONE, seconds, lambda: str(self.show(job))
        )
        return self.show(job)

    def wait_for(self, condition, seconds: float, what=lambda: "") -> object:
        """Wait until something is so and return it."""
        until = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < until, f"waited {seconds} s in vain {what()}\n{self._log()}"
            time.sleep(0.25)
        return found

    def _log(self) -> str:
        path = self.directory / "slurmctld.log"
        return path.read_text()[-3000:] if path.exists() else ""

    def down(self) -> None:
        """End all jobs and daemons."""
        subprocess.run(
            ["scancel", "-f", "-s", "KILL", "-u", getpass.getuser()],
            env=self.environment,
            timeout=60,
        )
        subprocess.run(["scancel", "-u", getpass.getuser()], env=self.environment, timeout=60)
        names = [*(f"slurmd.{node}.pid" for node in self.nodes), "slurmctld.pid", "munge/pid"]
        pids = [pid for name in names if (pid := _pid(self.directory / name))]
        processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        processes += [one for one in psutil.process_iter() if self._is_ours(one)]
        for process in processes:
            _signal(process, signal.SIGTERM)
        for process in psutil.wait_procs(processes, 10)[1]:
            _signal(process, signal.SIGKILL)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("SLURM_CONF") == self.environment["SLURM_CONF"]
        except psutil.Error:
            return False


def _pid(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        pass


def _free_ports(count: int) -> int:
    """Return the first of some free ports in a row."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, count):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for number, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + number))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise AssertionError("no free ports")
