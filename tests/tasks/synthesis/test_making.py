from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.errors import RequestError
from tasks.hands.hand import load_hand
from tasks.synthesis.making import make_parts, require_request, signature
from tasks.synthesis.unfinished import Unfinished, unfinished

REQUEST = {
    "generator": "toys", "generator_version": 1, "seed": 0, "size": 6, "hand_fingerprint": "0" * 16
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    root: Path
    size: int


PARTS = [Part(Path(), size) for size in (3, 1, 2)]


def make(part: Part) -> str:
    (part.root / f"{part.size}.txt").write_text("x" * part.size)
    return str(part.size)


def stop_at(size: int):
    def make_or_stop(part: Part) -> str:
        if part.size == size:
            raise KeyboardInterrupt
        return make(part)

    return make_or_stop


def steps(work: Unfinished, making, workers: int = 1) -> tuple[list[tuple[int, int]], Iterator]:
    told: list[tuple[int, int]] = []
    made = make_parts(
        work, "toy", PARTS, making, lambda part: part.size, workers, lambda *step: told.append(step)
    )
    return told, made


def test_a_size_or_seed_out_of_range_is_refused_in_a_sentence():
    require_request(1, 0, 9, "there are 9")
    require_request(9, 7, 9, "there are 9")
    for size in (0, -3, 10):
        with pytest.raises(RequestError, match=f"size is {size}: there are 9."):
            require_request(size, 0, 9, "there are 9")
    with pytest.raises(RequestError, match="seed is -1: expected a whole number"):
        require_request(1, -1, 9, "there are 9")


def test_results_come_in_the_order_of_parts_and_progress_counts_samples(tmp_path: Path):
    with unfinished(tmp_path / "out", REQUEST) as work:
        told, made = steps(work, make)
        assert list(made) == list(zip(PARTS, "312", strict=True))
        assert told == [(0, 6), (3, 6), (4, 6), (6, 6)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.txt", "2.txt", "3.txt"]


def test_finished_parts_count_at_once_and_are_not_made_again(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt), unfinished(tmp_path / "out", REQUEST) as work:
        steps(work, stop_at(2))
    with unfinished(tmp_path / "out", REQUEST) as work:
        told, made = steps(work, stop_at(3))  # the first part would stop it
        assert told == [(4, 6), (6, 6)]
        assert [result for _, result in made] == ["3", "1", "2"]


def test_processes_make_what_one_makes(tmp_path: Path):
    for workers in (1, 2):
        with unfinished(tmp_path / f"out{workers}", REQUEST) as work:
            _, made = steps(work, make, workers)
            assert [result for _, result in made] == ["3", "1", "2"]
    for path in (tmp_path / "out1").iterdir():
        assert path.read_bytes() == (tmp_path / "out2" / path.name).read_bytes()


def test_the_signature_tells_how_a_set_was_made_and_of_which_hand():
    hand = load_hand("right")
    assert signature("freihand", 4, 7, 100) == {
        "generator": "palmares freihand",
        "generator_version": 4,
        "seed": 7,
        "size": 100,
        "hand": hand.name,
        "hand_fingerprint": hand.fingerprint,
    }
