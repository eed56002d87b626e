"""Ranks and addresses of a distributed job, from the environment variables of torchrun or SLURM's srun."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from clipc.errors import UserError


@dataclass(frozen=True)
class LaunchInfo:
    """The ranks of a process in its job.

    Attributes:
        rank: The rank of this process, in [0, size).
        size: The number of processes, at least 2.
        local_rank: The rank among the processes of this machine.
        local_size: The number of processes on this machine.
        init_method: The address of the rendezvous, for ``torch.distributed``.
        own_gpu: Whether the launcher may show each process only its own GPU, which then has index 0.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    init_method: str
    own_gpu: bool


def read_launch_info(environment: Mapping[str, str]) -> LaunchInfo | None:
    """Reads the environment variables of ``torchrun`` or ``srun``; None for a single process.

    Raises:
        UserError: A variable that is needed is missing or not a number.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return _from_torchrun(environment)
    # Only srun sets SLURM_STEP_NUM_TASKS; a batch script, a single process, has SLURM_PROCID and SLURM_NTASKS too.
    if "SLURM_STEP_NUM_TASKS" in environment:
        return _from_srun(environment)
    return None


def first_host(hosts: str) -> str:
    """The first host of a SLURM node list: ``gpu03`` for ``gpu[03-05,9],cpu1``."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", hosts)
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first.group() if first else hosts)


def _from_torchrun(environment: Mapping[str, str]) -> LaunchInfo | None:
    size = _number(environment, "WORLD_SIZE")
    if size == 1:
        return None
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if name not in environment:
            raise UserError(f"WORLD_SIZE={size} but {name} is not set; start the command with torchrun.")
    return LaunchInfo(
        rank=_number(environment, "RANK"),
        size=size,
        local_rank=_number(environment, "LOCAL_RANK", "0"),
        local_size=_number(environment, "LOCAL_WORLD_SIZE", "1"),
        init_method="env://",
        own_gpu=False,
    )


def _from_srun(environment: Mapping[str, str]) -> LaunchInfo | None:
    size = _number(environment, "SLURM_STEP_NUM_TASKS")
    if size == 1:
        return None
    host = environment.get("MASTER_ADDR") or first_host(environment.get("SLURM_STEP_NODELIST", "localhost"))
    job, step = _number(environment, "SLURM_JOB_ID"), _number(environment, "SLURM_STEP_ID", "0")
    port = environment.get("MASTER_PORT") or str(20_000 + (job * 31 + step) % 10_000)
    return LaunchInfo(
        rank=_number(environment, "SLURM_PROCID"),
        size=size,
        local_rank=_number(environment, "SLURM_LOCALID"),
        local_size=len(environment.get("SLURM_GTIDS", "").split(",")),  # The ranks on this machine.
        init_method=f"tcp://{host}:{port}",
        own_gpu=True,
    )


def _number(environment: Mapping[str, str], name: str, default: str = "") -> int:
    text = environment.get(name, default)
    if not text.isdigit():
        raise UserError(f"the environment variable {name}={text!r} is not a number; start the command with torchrun.")
    return int(text)
