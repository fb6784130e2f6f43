"""Figures of a sweep: what stands where, and the same bytes each time."""

from dataclasses import replace

import matplotlib
import pytest

from reports.ablations.figures import MAX_SERIES, ablation_figures, axis_figure, places_of, series_of

PUBLISHED = [
    {"method": "AMVUR", "layout": "freihand", "metric": "mpjpe_mm", "value": 9.4, "source": "Table 5"}
]


def only(study):
    (ablation,) = study.ablations
    return ablation


def axes_of(ablation, published=()):
    return axis_figure(ablation, ablation.axes[0], published).axes[0]


def ticks(axes):
    return [text.get_text() for text in axes.get_xticklabels()]


def marks(axes, marker):
    return [line for line in axes.get_lines() if line.get_marker() == marker]


def test_the_same_records_draw_the_same_bytes_whatever_the_users_settings(depth):
    first = ablation_figures(only(depth.study()), PUBLISHED)
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "svg.hashsalt": "other"}):
        second = ablation_figures(only(depth.study()), PUBLISHED)
    assert first == second
    assert [drawing.name for drawing in first] == ["depth"]
    assert "currentColor" in first[0].themed_svg


def test_each_value_has_its_mean_its_sample_interval_and_a_ring_for_each_seed(depth):
    ablation = only(depth.study())
    lines = marks(axes_of(ablation), "o")
    rings, (means,) = lines[:-1], lines[-1:]
    assert [len(ring.get_ydata()) for ring in rings] == [3, 3, 3]
    intervals = [line for line in axes_of(ablation).get_lines() if line.get_linewidth() == 3]
    for number, variant in enumerate(ablation.variants):
        summary = ablation.row(variant, "mpjpe_mm").summary("mpjpe_mm")
        assert means.get_ydata()[number] == summary.value
        assert list(intervals[number].get_ydata()) == [summary.low, summary.high]
        assert list(rings[number].get_ydata()) == ablation.row(variant, "mpjpe_mm").seed_values("mpjpe_mm")
        assert min(rings[number].get_xdata()) > intervals[number].get_xdata()[0]


def test_the_reference_is_named_beneath_the_axis_and_drawn_across_it(depth):
    ablation = only(depth.study())
    axes = axes_of(ablation)
    assert ticks(axes) == ["0", "1", "4\nreference"]
    (across,) = (line for line in axes.get_lines() if line.is_dashed())
    assert set(across.get_ydata()) == {ablation.mean(ablation.reference, "mpjpe_mm")}


def test_published_values_are_not_drawn_beside_numbers_on_synthetic_data(depth):
    assert marks(axes_of(only(depth.study()), PUBLISHED), "D") == []


def test_published_values_are_marks_of_another_shape_that_the_legend_names(depth):
    synthetic = only(depth.study())
    real = replace(synthetic.declaration, said={**synthetic.declaration.said, "synthetic": False})
    ablation = replace(synthetic, declaration=real)
    assert axes_of(ablation).get_legend() is None
    axes = axes_of(ablation, PUBLISHED)
    (published,) = marks(axes, "D")
    assert (list(published.get_xdata()), list(published.get_ydata())) == ([4.0], [9.4])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["published, real data"]


@pytest.mark.parametrize(
    ("values", "kind", "at"),
    [
        ([1, 2, 4, 16], "log", [1, 2, 4, 16]),
        ([0.02, 0.2, 4], "log", [0.02, 0.2, 4]),
        ([0, 1, 2, 4], "linear", [0, 1, 2, 4]),
        ([0, 45.0, 180.0, 4], "even", [0, 1, 2, 3]),
        ([0.0, 0.82, 8.2, 82.0, 4], "even", [0, 1, 2, 3, 4]),
        ([4, 2, 1], "even", [0, 1, 2]),
        ([True, False, 4], "even", [0, 1, 2]),
        (["gaussian", "l1", 4], "even", [0, 1, 2]),
        ([2, 4], "even", [0, 1]),
    ],
)
def test_numbers_that_grow_stand_on_a_scale_and_all_else_evenly(sweep, values, kind, at):
    sweep.default(seeds=()).axis(
        "depth", "layers", dict.fromkeys(values, 10.0), changes={value: {"seeds": ()} for value in values}
    )
    ablation = only(sweep.study())
    places = places_of(ablation, ablation.axes[0])
    assert places.kind == kind
    assert list(places.at.values()) == at


def test_a_reference_that_is_none_of_the_values_stands_at_its_own_place(sweep):
    sweep.default().axis("threshold", "threshold", {0.4: 12.0, 0.5: 11.0, 0.6: 13.0})
    axes = axes_of(only(sweep.study()))
    assert ticks(axes) == ["0.45\nreference", "0.4", "0.5", "0.6"]
    assert list(axes.get_xticks()) == [0.45, 0.4, 0.5, 0.6]
    (joined,) = (line for line in axes.get_lines() if line.get_alpha() == 0.45)
    assert list(joined.get_xdata()) == [0.4, 0.45, 0.5, 0.6]


def test_values_that_were_not_measured_keep_their_place(sweep):
    sweep.default().axis("depth", "layers", {0: 12.0, 4: 10.0, 9: 11.0}, changes={9: {"seeds": ()}})
    axes = axes_of(only(sweep.study()))
    assert ticks(axes) == ["0", "4\nreference", "9"]
    assert axes.get_xlim()[1] > 9
    assert len(marks(axes, "o")[-1].get_ydata()) == 2


def test_nothing_measured_draws_nothing(sweep):
    sweep.default(seeds=()).axis("depth", "layers", {0: 12.0}, changes={0: {"seeds": ()}})
    assert ablation_figures(only(sweep.study())) == []


def test_one_seed_has_no_rings(sweep):
    sweep.seeds = (0,)
    (drawing,) = ablation_figures(only(sweep.default().axis("depth", "layers", {0: 12.0, 4: 10.0}).study()))
    assert "ring" not in drawing.caption


def test_a_grid_has_a_figure_for_each_axis_with_a_colour_for_each_value_of_the_others(grid):
    ablation = only(grid.study(grid=True))
    assert [drawing.name for drawing in ablation_figures(ablation)] == ["depth", "supervision"]
    axes = axes_of(ablation)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "supervision full",
        "supervision weak",
    ]
    means = [line for line in marks(axes, "o") if line.get_label().startswith("supervision")]
    assert len({line.get_color() for line in means}) == 2
    assert means[0].get_xdata()[0] < means[1].get_xdata()[0]


def test_more_series_than_colours_are_cut_and_the_caption_says_so(sweep):
    sweep.seeds = (0,)
    sweep.default()
    for layers in range(MAX_SERIES + 2):
        values = {"depth": str(layers), "supervision": "full"}
        sweep.point(values, {"layers": layers}, 10.0 + layers)
    sweep.declare("depth", "layers", list(range(MAX_SERIES + 2)), "unknown")
    sweep.declare("supervision", "supervision", ["full"], "unknown")
    ablation = only(sweep.study(grid=True))
    supervision = ablation.axes[1]
    assert len(series_of(ablation, supervision)) == MAX_SERIES + 2
    drawn = axis_figure(ablation, supervision).axes[0].get_legend().get_texts()
    assert len(drawn) == MAX_SERIES
    assert f"The first {MAX_SERIES} of {MAX_SERIES + 2} colours." in ablation_figures(ablation)[1].caption
