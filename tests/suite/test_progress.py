"""What people read of the time that work takes."""

from suite.progress import duration


def test_durations_read_as_on_a_clock():
    assert [duration(s) for s in (42.9, 727, 11_100)] == ["0:42", "12:07", "3:05:00"]
