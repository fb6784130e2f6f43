import pytest

from tasks.errors import RequestError
from tasks.hands.hand import load_hand
from tasks.synthesis.making import followed, require_request, signature


def test_a_size_or_seed_out_of_range_is_refused_in_a_sentence():
    require_request(1, 0, 9, "there are 9")
    require_request(9, 7, 9, "there are 9")
    for size in (0, -3, 10):
        with pytest.raises(RequestError, match=f"size is {size}: there are 9."):
            require_request(size, 0, 9, "there are 9")
    with pytest.raises(RequestError, match="seed is -1: expected a whole number"):
        require_request(1, -1, 9, "there are 9")


def test_progress_counts_the_samples_of_the_parts_that_are_done():
    told: list[tuple[int, int]] = []
    pairs = list(followed([3, 1, 2], map(str, [3, 1, 2]), int, lambda *step: told.append(step)))
    assert pairs == [(3, "3"), (1, "1"), (2, "2")]
    assert told == [(0, 6), (3, 6), (4, 6), (6, 6)]
    assert list(followed([5], ["x"], int, None)) == [(5, "x")]


def test_a_result_is_there_before_the_next_is_asked_for():
    asked = []

    def results():
        for i in range(3):
            asked.append(i)
            yield i

    for part, _ in followed([0, 1, 2], results(), lambda part: 1, None):
        assert asked == list(range(part + 1))


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
