"""The database of a home folder is there whole, or not at all."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from reports.tracking.sync import sync
from tests.reports.tracking.seeing import only_run

SOURCES = Path(__file__).parents[3]
MAKE = """
import sys
from pathlib import Path
from reports.tracking.store import make_database
make_database(Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_killed_while_it_makes_the_tables_leaves_no_broken_database(tmp_path, fabricate):
    maker = subprocess.Popen([sys.executable, "-c", MAKE, str(tmp_path / "mlflow.db")], cwd=SOURCES)
    while not any(path.stat().st_size for path in tmp_path.glob(".mlflow.db.*")):
        assert maker.poll() is None, "it was done before it could be killed"
        time.sleep(0.01)
    maker.kill()
    maker.wait()
    assert not (tmp_path / "mlflow.db").exists()
    fabricate(tmp_path / "records", seed=0)
    assert sync(tmp_path).failed == {}
    only_run(tmp_path)
    assert list(tmp_path.glob(".mlflow.db*")) == []
