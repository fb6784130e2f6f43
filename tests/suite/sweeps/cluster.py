"""A Ray cluster of several machines on this one: raylets of their own, marked in their environment."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

from tests.suite.sweeps.sweeping import processes

RAY = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",  # how long a head may be away: a minute unless told
}

COMMANDS = ("setup", "initialization", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
FAKE_MACHINES = {
    "RAY_FAKE_CLUSTER": "1",
    "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    "RAY_OVERRIDE_NODE_ID_FOR_TESTING": "f" * 51 + "00000",  # by which it knows the head
}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Cluster:
    """``ray start --head``, and machines that join it."""

    def __init__(self, folder, cpus):
        self.home, self.cpus = folder, cpus
        self.port, self.client_port = free_port(), free_port()
        self._started = []

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self, grows_by=0):
        """The head; it starts so many machines of one CPU by itself, as they are asked for."""
        more = (f"--autoscaling-config={self._growing(grows_by)}",) if grows_by else ()
        self._ray_start(
            self.home, "--head", f"--port={self.port}", f"--num-cpus={self.cpus}", "--include-dashboard=false",
            f"--ray-client-server-port={self.client_port}", f"--temp-dir={self.home}", *more,
            **(FAKE_MACHINES if grows_by else {}),
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.2)
        raise TimeoutError("no head")

    def join(self, mark, cpus):
        """One more machine, whose processes have ``mark`` for a home folder in their environment."""
        self._ray_start(mark, f"--address={self.address}", f"--num-cpus={cpus}")

    def stop(self, *marks):
        """The machines with these marks, all of them with none, without a warning."""
        for mark in marks or [mark for mark, _ in self._started]:
            for title in ("raylet", "gcs_server", "ray"):
                for pid in processes(mark, title):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        for mark, process in self._started:
            if not marks or mark in marks:
                process.wait()
        self._started = [(mark, process) for mark, process in self._started if marks and mark not in marks]

    def _growing(self, machines):
        """Ray's own autoscaler, with its provider for tests: machines that are processes here."""
        config = {
            "cluster_name": "growing",
            "max_workers": machines,
            "idle_timeout_minutes": 5,
            "provider": {
                "type": "fake_multinode", "gcs_address": self.address, "use_node_id_as_ip": True,
                "disable_node_updaters": True, "disable_launch_config_check": True,
            },
            "available_node_types": {
                "ray.head.default": {"resources": {"CPU": self.cpus}, "node_config": {}, "max_workers": 0},
                "more": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": machines},
            },
            "head_node_type": "ray.head.default",
            **{name: {} for name in ("file_mounts", "docker", "auth")},
            **{f"{name}_commands": [] for name in COMMANDS},
            "cluster_synced_files": [],
        }  # fmt: skip
        file = self.home / "autoscaler.yaml"
        file.write_text(json.dumps(config))
        return file

    def _ray_start(self, mark, *arguments, **more):
        line = (
            *arguments, "--node-ip-address=127.0.0.1", "--block", "--object-store-memory=100000000",
            "--disable-usage-stats",
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *line],
            env={**os.environ, **RAY, **more, "PALMARES_HOME": str(mark)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._started.append((mark, process))
