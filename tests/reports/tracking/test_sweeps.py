"""The run of a sweep: the parent of its cells' runs."""

from reports.tracking.live import LiveMirror
from reports.tracking.sweeps import MirroredSweep
from reports.tracking.sync import sync
from tests.reports.tracking.seeing import all_runs, counts, declaration, family, state_of


def swept(home, said, state="done", files=None):
    """One run of a driver that finds everything done."""
    mirror = LiveMirror(home)
    mirror.begin_sweep(said)
    mirror.end_sweep(said, files or {"ablation.md": b"| depth |"}, state)
    mirror.close()
    assert not mirror.gave_up


def test_cells_that_were_done_before_are_children_even_those_that_no_server_knew(home, header, fabricate):
    mirrored, unknown = header(seed=0), header(seed=1)
    fabricate(home / "records", seed=0)
    sync(home)
    fabricate(home / "records", seed=1)
    swept(home, declaration(mirrored, unknown))
    parent, children = family(home)
    assert {state_of(run) for run in (parent, *children.values())} == {("FINISHED", "done")}
    assert set(children) == {mirrored["cell"], unknown["cell"]}


def test_a_child_says_for_which_axis_and_value_it_stands(home, header, fabricate):
    cells = [header(seed=seed) for seed in range(2)]
    for seed in range(2):
        fabricate(home / "records", seed=seed)
    swept(home, declaration(*cells))
    tags = [family(home)[1][cell["cell"]].data.tags for cell in cells]
    assert [(tag["palmares.axis"], tag["palmares.value"]) for tag in tags] == [
        ("default", "default"),
        ("depth", "1"),
    ]


def test_a_sweep_that_is_run_again_changes_nothing(home, header, fabricate):
    fabricate(home / "records")
    said = declaration(header())
    swept(home, said)
    rows, before = counts(home), state_of(family(home)[0])
    swept(home, said)
    outcome = sync(home, [MirroredSweep(said, {"ablation.md": b"| depth |"}, "done")])
    assert outcome.mirrored == []
    assert counts(home) == rows
    assert state_of(family(home)[0]) == before == ("FINISHED", "done")


def test_a_cell_of_two_sweeps_is_the_child_of_one_and_sync_leaves_it_there(home, header, fabricate):
    shared, one, two = (header(seed=seed) for seed in range(3))
    for seed in range(3):
        fabricate(home / "records", seed=seed)
    sweeps = [
        MirroredSweep(declaration(shared, one, sweep="a" * 16, axis="depth"), {}, "done"),
        MirroredSweep(declaration(shared, two, sweep="b" * 16, axis="width"), {}, "done"),
    ]
    sync(home, sweeps)
    parents = {
        run.data.tags.get("palmares.cell"): run.data.tags.get("palmares.sweep") for run in all_runs(home)
    }
    assert parents[shared["cell"]] == parents[one["cell"]] == "a" * 16
    assert parents[two["cell"]] == "b" * 16
    rows = counts(home)
    assert sync(home, sweeps).mirrored == []
    assert counts(home) == rows
