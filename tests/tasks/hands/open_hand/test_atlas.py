import numpy as np
import trimesh

from tasks.hands.open_hand.skin_points import _rasterised


def test_every_corner_has_a_place_in_the_unit_square(right):
    assert right.vt.min() >= 0
    assert right.vt.max() <= 1
    assert right.ft.shape == right.faces.shape
    assert set(np.unique(right.ft)) == set(range(len(right.vt)))


def test_a_texture_coordinate_belongs_to_one_vertex(right):
    owner = np.full(len(right.vt), -1)
    owner[right.ft] = right.faces
    np.testing.assert_array_equal(owner[right.ft], right.faces)


def test_seams_are_few(right):
    assert len(right.vt) < 778 * 1.3


def test_triangles_of_the_atlas_neither_fold_nor_overlap(right):
    a, b, c = (right.vt[right.ft[:, k]].astype(float) for k in range(3))
    area = 0.5 * np.cross(b - a, c - a)
    assert (np.sign(area) == np.sign(area[0])).mean() > 0.97  # the webs fold back at the finger roots
    covered = (_rasterised(right.vt[right.ft].astype(float) * 1024, 1024)[0] >= 0).mean()
    assert covered > 0.97 * np.abs(area).sum() - 0.005
    assert covered > 0.7


def test_texels_are_of_similar_size_on_the_hand(right):
    flat = np.column_stack([right.vt[:, 0], right.vt[:, 1], np.zeros(len(right.vt))])
    on_hand = trimesh.Trimesh(right.v_template, right.faces, process=False).area_faces
    in_atlas = trimesh.Trimesh(flat, right.ft, process=False).area_faces
    ratio = np.sqrt(on_hand / np.maximum(in_atlas, 1e-9))
    assert np.percentile(ratio, 95) / np.percentile(ratio, 5) < 4
