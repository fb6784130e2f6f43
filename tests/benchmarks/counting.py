"""CPU seconds of a command and of everything that it starts, daemons included. Linux.

Linux adds the time of a process to its parent's when the parent waits for it, and so on up to the command. Two kinds
of processes are lost to that, and Ray has both. Daemons whose parent ends first: this process adopts them (it makes
itself their "subreaper") and waits for them. And children of a parent that ignores SIGCHLD, as Ray's raylet does with
its workers: nobody ever waits for these, so they are watched in ``/proc`` until they are gone. What a watched process
does after the last look at it is missed, at most ``LOOK_EVERY_S`` of each; so is one that comes and goes in between.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LOOK_EVERY_S = 0.2
GRACE_S = 60.0
"""What is left of a command so long after its end is killed."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36
SIGCHLD_BIT = 1 << (signal.SIGCHLD - 1)


class Counted(NamedTuple):
    """A finished command: when it began and ended (Unix time), CPU seconds of all its processes, what it printed."""

    began_s: float
    ended_s: float
    cpu_s: float
    watched: int
    """Processes that nobody waits for."""
    out: str

    @property
    def wall_s(self) -> float:
        return self.ended_s - self.began_s


class Process(NamedTuple):
    """A line of ``/proc/<pid>/stat``."""

    parent: int
    started: int
    cpu_s: float
    """Its own and that of children that it has waited for."""


def counted(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> Counted:
    """Run a command to its end and that of all its processes. Raises RuntimeError where it fails."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this process cannot adopt daemons")
    not_ours = set(_children(_processes(), os.getpid()))
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.time()
        process = subprocess.Popen(command, env=env, cwd=cwd, stdout=out, stderr=err)
        ended, cpu_s, watched = _follow(process, not_ours)
        said, complaints = (_text(file) for file in (out, err))
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}\n{complaints[-4000:]}")
    return Counted(began, ended, cpu_s, watched, said)


def waited(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process that starts no daemons, once it has ended. Raises RuntimeError where it fails."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{process.args}: exit {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def _follow(process: subprocess.Popen[bytes], not_ours: set[int]) -> tuple[float, float, int]:
    """When the command ended; CPU seconds, and the number of processes that were only watched, after the last one."""
    ended, waited_s, watched = 0.0, 0.0, {}
    while True:
        every = _processes()
        ours = [pid for pid in _children(every, os.getpid()) if pid not in not_ours]
        if not ours:
            return ended, waited_s + sum(watched.values()), len(watched)
        watched.update(_unwaited(every, ours))
        for pid, status, cpu_s in _ended(ours):
            waited_s += cpu_s
            watched.pop((pid, every[pid].started), None)
            if pid == process.pid:
                ended, process.returncode = time.time(), os.waitstatus_to_exitcode(status)
        if ended and time.time() - ended > GRACE_S:
            _kill_left(pid for pid in ours if pid in _processes())
        time.sleep(LOOK_EVERY_S)


def _ended(pids: Sequence[int]) -> Iterator[tuple[int, int, float]]:
    """(pid, exit status, CPU seconds with what they waited for) of those children that have ended."""
    for pid in pids:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            yield pid, status, usage.ru_utime + usage.ru_stime


def _unwaited(every: Mapping[int, Process], ours: Sequence[int]) -> dict[tuple[int, int], float]:
    """CPU seconds of the descendants whose parents will not wait for them, by pid and start."""
    found, parents = {}, list(ours)
    while parents:
        parent = parents.pop()
        children = _children(every, parent)
        parents += children
        if children and _ignores_children(parent):
            found.update({(pid, every[pid].started): every[pid].cpu_s for pid in children})
    return found


def _ignores_children(pid: int) -> bool:
    try:
        ignored = re.search(r"^SigIgn:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:  # it has just ended
        return False
    return bool(ignored and int(ignored[1], 16) & SIGCHLD_BIT)


def _children(every: Mapping[int, Process], parent: int) -> list[int]:
    return [pid for pid, process in every.items() if process.parent == parent]


def _processes() -> dict[int, Process]:
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_text()
        except OSError:  # it has just ended
            continue
        fields = stat.rpartition(")")[2].split()  # from the third one on: a name may hold spaces
        found[int(name)] = Process(
            int(fields[1]), int(fields[19]), sum(map(int, fields[11:15])) / TICKS_PER_S
        )
    return found


def _kill_left(pids: Iterator[int]) -> None:
    for pid in pids:
        print(f"process {pid} is still there {GRACE_S:.0f} s after its command: killed", file=sys.stderr)
        os.kill(pid, signal.SIGKILL)


def _text(file: Any) -> str:
    file.seek(0)
    return file.read()
