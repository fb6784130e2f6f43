"""The hand as a torch module: parameters in, posed mesh and joints out, through smplx.MANO's forward pass."""

import contextlib
import io

import numpy as np
import smplx
import torch
from smplx.utils import Struct
from torch import nn

from tasks.errors import RequestError
from tasks.hands.in_use import hand_data
from tasks.hands.model_file import MANO_VERTS, HandModelData
from tasks.hands.skeleton import Side, reorder, tip_vertices


class HandModel(nn.Module):
    """A MANO-format hand, licensed or open: buffers, no parameters; V and F are the loaded file's."""

    faces: torch.Tensor
    """(F, 3) int64."""
    hands_mean: torch.Tensor
    """(45,) mean pose, axis-angle."""

    def __init__(self, data: HandModelData) -> None:
        super().__init__()
        self.data = data
        self.mano = _build_mano(data)
        self._regressors: dict[tuple[str, torch.device], torch.Tensor] = {}
        self.register_buffer("faces", torch.from_numpy(data.faces.copy()), persistent=False)
        self.register_buffer("hands_mean", torch.from_numpy(data.hands_mean.copy()), persistent=False)

    @classmethod
    def from_data(cls, data: HandModelData) -> "HandModel":
        """The module of a model that was read or built."""
        return cls(data)

    @property
    def n_verts(self) -> int:
        return self.data.n_verts

    @property
    def side(self) -> Side:
        return self.data.side

    @property
    def name(self) -> str:
        return self.data.name

    @property
    def fingerprint(self) -> str:
        return self.data.fingerprint

    def forward(
        self, pose_aa: torch.Tensor, betas: torch.Tensor, flat_hand_mean: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pose and shape to mesh and articulated joints.

        ``pose_aa`` (B, 48) axis-angle, global rotation first; it pivots about the rest wrist, not the origin.
        ``betas`` (B, 10). Unless ``flat_hand_mean``, the model's mean pose is added to the 45 hand angles.
        Returns ``verts_m`` (B, V, 3) and ``joints_mano16_m`` (B, 16, 3).
        """
        hand_pose = pose_aa[:, 3:] if flat_hand_mean else pose_aa[:, 3:] + self.hands_mean
        output = self.mano(betas=betas, global_orient=pose_aa[:, :3], hand_pose=hand_pose)
        return output.vertices, output.joints

    def joints_from_verts(self, verts_m: torch.Tensor, tips: str = "freihand") -> torch.Tensor:
        """(B, 21, 3) joints in order B: regressor on the posed vertices, then tips (FreiHAND's rule)."""
        return self.joint_regressor21(tips).to(verts_m.dtype) @ verts_m

    def joint_regressor21(self, tips: str = "freihand") -> torch.Tensor:
        """(21, V) float32 matrix of ``joints_from_verts``, rows in order B."""
        key = (tips, self.faces.device)
        if key not in self._regressors:
            self._regressors[key] = torch.from_numpy(_regressor21(self.data, tips)).to(self.faces.device)
        return self._regressors[key]


def load_hand(side: Side = "right", as_released: bool = False) -> HandModel:
    """A new module of the hand in use; arguments and errors as for ``hand_data``."""
    return HandModel(hand_data(side, as_released))


def _build_mano(data: HandModelData) -> smplx.MANO:
    """smplx's module from arrays, so that only our own reader opens files; kept out of checkpoints."""
    content = Struct(
        v_template=data.v_template,
        f=data.faces,
        shapedirs=data.shapedirs,
        posedirs=data.posedirs,
        weights=data.weights,
        J_regressor=data.J_regressor,
        kintree_table=np.stack([data.parents, np.arange(len(data.parents))]),
        hands_mean=data.hands_mean,
        hands_components=data.hands_components,
    )
    absent = ("betas", "global_orient", "body_pose", "hand_pose", "transl")
    with contextlib.redirect_stdout(io.StringIO()):  # smplx prints that a hand has 10 shape coefficients
        mano = smplx.MANO(
            "", is_rhand=data.side == "right", data_struct=content, use_pca=False, flat_hand_mean=True,
            **{f"create_{name}": False for name in absent},
        )  # fmt: skip
    for module in mano.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, buffer, persistent=False)
    return mano


def _regressor21(data: HandModelData, tips: str) -> np.ndarray:
    """(21, V): the 16 regressor rows and five one-hot rows for the tips, in order B.

    The named conventions hold for MANO's 778 vertices; a mesh of another size brings its own ``tips``.
    """
    vertices = tip_vertices(tips)
    if data.n_verts != MANO_VERTS:
        if data.tips is None:
            raise RequestError(
                f"hand model '{data.name}' ({data.n_verts} vertices) names no fingertips: add 'tips'."
            )
        vertices = tuple(int(i) for i in data.tips)
    rows = np.zeros((21, data.n_verts), np.float32)
    rows[:16] = data.J_regressor
    rows[np.arange(16, 21), vertices] = 1.0
    return rows[reorder("A", "B")]
