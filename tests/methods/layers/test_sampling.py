import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.layers.sampling import sample_map

SIZE = 64


def map_of_own_places(side: int) -> torch.Tensor:
    """(1, 2, side, side): the pixel of the image that lies at the centre of each cell."""
    centre = (torch.arange(side) + 0.5) * SIZE / side
    return torch.stack([centre.expand(side, side), centre[:, None].expand(side, side)])[None]


@given(
    st.sampled_from((4, 8, 32, 64)), st.lists(st.tuples(*[st.floats(8.0, 56.0)] * 2), min_size=1, max_size=5)
)
def test_a_point_finds_what_lies_at_its_place_in_a_map_of_any_resolution(
    side: int, points: list[tuple[float, float]]
) -> None:
    points_px = torch.tensor([points])
    found = sample_map(map_of_own_places(side), points_px, SIZE)
    torch.testing.assert_close(found, points_px, atol=1e-4, rtol=0)


def test_points_outside_take_the_border() -> None:
    found = sample_map(map_of_own_places(8), torch.tensor([[[-100.0, 1000.0]]]), SIZE)
    torch.testing.assert_close(found, torch.tensor([[[4.0, 60.0]]]))
