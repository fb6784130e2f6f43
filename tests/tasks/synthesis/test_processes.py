import operator
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.errors import RequestError
from tasks.synthesis.processes import process_map


def test_one_worker_is_this_process() -> None:
    with process_map(1) as each:
        assert each is map


def test_results_come_in_order_and_errors_come_through() -> None:
    with process_map(2) as each:
        assert list(each(operator.neg, range(20))) == [-i for i in range(20)]
    with pytest.raises(ZeroDivisionError), process_map(2) as each:
        list(each(operator.truediv, [1], [0]))


def test_a_killed_process_is_a_sentence() -> None:
    with (
        pytest.raises(RequestError, match=r"was killed \(out of memory\?\): try fewer workers"),
        process_map(2) as each,
    ):
        list(each(os._exit, [1]))


def test_an_error_does_not_wait_for_what_is_being_done() -> None:
    def stop() -> None:
        with process_map(2) as each:
            next(each(time.sleep, [0.01, 120, 120]))
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        stop()
    assert time.monotonic() - started < 60


def test_processes_leave_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from tasks.synthesis.processes import process_map\n"
        "if __name__ == '__main__':\n"
        "    with process_map(2) as each:\n"
        "        print(*set(each(PID)), flush=True)\n"
        "        list(each(time.sleep, [60, 60]))\n"
    ).replace("each(PID)", "each(tests.tasks.synthesis.test_processes.slowly_pid, range(4))")
    script = tmp_path / "parent.py"
    script.write_text("import tests.tasks.synthesis.test_processes\n" + code)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def slowly_pid(_: int) -> int:
    time.sleep(0.3)
    return os.getpid()
