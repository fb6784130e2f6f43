"""Curves as files and under the names of the record."""

from suite.curves import curve_names


def test_curves_of_several_stages_keep_apart_what_they_share_a_name_for():
    point = {"step": 3, "name": "train/total", "value": 1.0, "time_ms": 5}
    assert curve_names([point], None) == [point]
    assert curve_names([point], "refine") == [{**point, "name": "train/refine/total"}]
