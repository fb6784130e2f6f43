"""Places: no more cells at once than fit, every CPU used, and machines that come and go are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite import places as module
from suite.places import Room, places
from suite.train import Resources


def machine(cpus, gpus=0):
    return {"CPU": float(cpus), "GPU": float(gpus)}


@pytest.mark.parametrize(
    ("workers", "gpus", "jobs", "machines", "count", "cpus"),
    [
        (0, 0.0, None, [machine(2)], 2, 1),
        (0, 0.0, 1, [machine(2)], 1, 2),
        (1, 0.0, None, [machine(8)], 8, 1),
        (4, 0.0, None, [machine(10)], 2, 1),
        (0, 0.25, None, [machine(16, 2)], 8, 2),
        (2, 1.0, None, [machine(64, 8)], 4, 8),
        (2, 1.0, 3, [machine(64, 8)], 3, 10),
        (16, 0.0, None, [machine(4)], 1, 1),
        (2, 0.0, 1, [machine(16)], 1, 8),
        (4, 0.0, 1, [machine(2)], 1, 1),
        (0, 0.0, 1, [machine(2), machine(2)], 1, 2),
        (0, 1.0, None, [machine(16, 1), machine(4, 1), machine(4, 1)], 3, 4),
        (0, 0.6, None, [machine(8, 2)], 2, 4),
        (0, 1 / 3, None, [machine(6, 1)], 3, 2),
        (0, 2.0, None, [machine(8, 3), machine(8, 3)], 2, 8),
        (4, 0.0, 1, [machine(2), machine(2)], 1, 1),
        (0, 0.5, None, [machine(0)], 1, 1),
    ],
)
def test_what_fits(workers, gpus, jobs, machines, count, cpus):
    at = places(Resources(workers, gpus_per_worker=gpus), machines, jobs)
    assert (at.on(machines), at.resources.cpus_per_worker) == (count, cpus)


def test_cpus_that_were_asked_for_are_kept_whatever_the_machines():
    asked = Resources.asked(0, 6, 0.25)
    assert places(asked, [machine(16, 1)], None).on([machine(16, 1)]) == 2
    assert places(asked, [machine(2)], None).resources.cpus_per_worker == 6, "no machine with a GPU is up yet"
    assert places(Resources.asked(0, None, 0.25), [machine(2)], None).resources.cpus_per_worker == 1


@given(
    st.lists(st.builds(machine, st.integers(0, 16), st.integers(0, 4)), min_size=1, max_size=4),
    st.integers(0, 4),
    st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 1.0, 2.0]),
    st.none() | st.integers(1, 8),
)
def test_all_workers_of_all_cells_can_be_laid_on_the_machines(machines, workers, gpus, jobs):
    """Laid one by one, as Ray does: on CPUs that are left, and on a GPU that has so much left, or on whole ones."""
    at = places(Resources(workers, gpus_per_worker=gpus), machines, jobs)
    count = at.on(machines)
    if not at.fit(1, machines):
        assert count == 1, "something to wait with"
        return
    left = [(m["CPU"], [1.0] * int(m["GPU"])) for m in machines]
    for _ in range(count * max(1, workers)):
        left = lay(left, at.resources.cpus_per_worker, gpus)
    assert jobs is None or count <= jobs


def lay(left, cpus, gpus):
    """What is left of the machines once one more worker is on them."""
    for number, (free, cards) in enumerate(left):
        whole = int(gpus)
        rest = [card for card in cards if card < 1.0]
        if gpus >= 1:
            fits = cards.count(1.0) >= whole
            after = rest + [1.0] * (cards.count(1.0) - whole)
        else:
            roomy = next((k for k, card in enumerate(cards) if card >= gpus - 1e-6), None)
            fits = not gpus or roomy is not None
            after = [card - gpus * (k == roomy) for k, card in enumerate(cards)]
        if free >= cpus and fits:
            return [*left[:number], (free - cpus, after), *left[number + 1 :]]
    raise AssertionError("no machine has room")


def test_a_trial_holds_what_its_process_uses_and_next_to_nothing_where_workers_hold_it():
    here = places(Resources(0, gpus_per_worker=0.5), [machine(8, 1)], None)
    assert here.of_trial == {"cpu": 4.0, "gpu": 0.5}
    assert places(Resources(2), [machine(8)], None).of_trial == {"memory": 1.0}, "no CPU that a worker needs"


def test_a_machine_that_joins_makes_room_and_one_that_leaves_takes_it(monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.0)
    machines = [machine(4)]
    room = Room(places(Resources(0), machines, None), lambda: machines)
    assert room.count == 4
    machines.append(machine(2))
    assert room.count == 6
    machines.clear()
    assert room.count == 1


def test_no_more_than_asked_for_however_many_machines_join():
    assert places(Resources(0), [machine(1)], 2).on([machine(8), machine(8)]) == 2


class Wishes:
    """A cluster that grants what it is asked for when it is told to."""

    def __init__(self):
        self.asked, self.grants, self.free = [], False, 0.0

    def free_cpus(self):
        return self.free

    def ask(self, bundles):
        self.asked.append(list(bundles))
        return self.grants

    def withdraw(self):
        self.asked.append([])


@pytest.fixture
def wishes(monkeypatch):
    monkeypatch.setattr(module, "ASK_EVERY_S", 0.0)
    return Wishes()


def test_a_cluster_that_grows_is_asked_for_what_waiting_cells_need_up_to_jobs(wishes):
    machines = [machine(2)]
    room = Room(places(Resources(0), machines, 5), lambda: machines, wishes)
    room.want(lambda most: min(most, 9))
    assert wishes.asked[-1] == [{"CPU": 1.0}] * 3
    room.want(lambda most: min(most, 1))
    assert wishes.asked[-1] == [{"CPU": 1.0}]
    room.suffices()
    assert wishes.asked[-1] == []


def test_a_cell_with_workers_needs_a_place_for_each(wishes):
    machines = [machine(4, 2)]
    room = Room(places(Resources(2, gpus_per_worker=1.0), machines, 2), lambda: machines, wishes)
    room.want(lambda most: most)
    assert wishes.asked[-1] == [{"CPU": 2.0, "GPU": 1.0}] * 2


def test_machines_that_were_asked_for_are_counted_as_soon_as_they_are_there(wishes):
    machines = [machine(1)]
    room = Room(places(Resources(0), machines, 2), lambda: machines, wishes)
    room.want(lambda most: most)
    machines.append(machine(1))
    wishes.grants = True
    room.want(lambda most: most)
    assert room.count == 2


def test_nothing_is_asked_for_while_a_place_that_there_is_stands_empty(wishes):
    machines = [machine(5), machine(3)]
    room = Room(places(Resources(0), machines, 2), lambda: machines[:1], wishes)
    assert (room.count, room.at.resources.cpus_per_worker) == (1, 3), "two CPUs are beside the place"
    wishes.free = 5.0
    room.want(lambda most: most)
    assert wishes.asked == [], "its cell is just beginning, and would lose it to the wish"
    wishes.free = 2.0
    room.want(lambda most: most)
    assert len(wishes.asked) == 1


def test_a_cluster_that_does_not_grow_is_asked_for_nothing():
    room = Room(places(Resources(0), [machine(1)], 2), lambda: [machine(1)])
    room.want(lambda most: pytest.fail("nobody asks"))
    room.suffices()
