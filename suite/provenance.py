"""What a record says of the code and the machine that its numbers came about with."""

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RECORDED_PACKAGES = ("torch", "ray", "mlflow", "smplx", "numpy", "numba", "palmares")


@functools.cache
def environment_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    versions = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions


@functools.cache
def git_commit() -> str | None:
    """The commit of this code, marked when it has been edited since; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        run = functools.partial(subprocess.run, cwd=folder, capture_output=True, text=True, check=True)
        commit = run(["git", "rev-parse", "HEAD"]).stdout.strip()
        edited = run(["git", "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+edited" if edited else commit
