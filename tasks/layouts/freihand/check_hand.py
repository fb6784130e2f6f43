"""Checks that FreiHAND's annotations are of right hands, and mesh, joints and parameters of one and the same."""

from collections.abc import Iterator

import numpy as np

from tasks.layouts.base import Problem
from tasks.layouts.freihand.annotations import split_mano
from tasks.layouts.matching_hand import CLEARLY_LEFT, LEFT, MatchingHand, by_chunk, right_evidence
from tasks.layouts.table import Table, sound_together

JOINT_TOLERANCE_M = 0.01
DECODE_TOLERANCE_M = 0.01
"""Version 1 of FreiHAND differs from its own parameters by up to 6 mm."""


def check_hands(tables: dict[str, Table]) -> Iterator[Problem]:
    """Every left hand of one split, and every record whose mesh, joints and parameters disagree."""
    with np.errstate(all="ignore"):
        if "verts" in tables and tables["verts"].sound.any():
            model = MatchingHand.find(tables["verts"])
            if model:
                yield from _check_with_model(model, tables)
        if "xyz" in tables:
            yield from tables["xyz"].drop(right_evidence(tables["xyz"].rows) < CLEARLY_LEFT, LEFT)


def _check_with_model(model: MatchingHand, tables: dict[str, Table]) -> Iterator[Problem]:
    verts = tables["verts"]
    yield from verts.drop(by_chunk(model.signed_volume_m3, verts.rows) < 0, LEFT)
    if "xyz" in tables:
        at = sound_together(verts, tables["xyz"])
        error = by_chunk(model.joint_error_m, verts.rows[at], tables["xyz"].rows[at])
        yield from tables["xyz"].drop_at(
            at[error > JOINT_TOLERANCE_M], "the joints are not those of the mesh"
        )
    if "mano" in tables:
        at = sound_together(verts, tables["mano"])
        error = by_chunk(model.decode_error_m, verts.rows[at], *split_mano(tables["mano"].rows[at]))
        yield from tables["mano"].drop_at(
            at[~(error <= DECODE_TOLERANCE_M)], "the parameters do not give the mesh"
        )
