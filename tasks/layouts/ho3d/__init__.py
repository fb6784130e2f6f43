"""HO-3D v2 and v3: reader, writer and checker of their official layouts."""

from tasks.layouts.ho3d.reader import Ho3dEvaluation, Ho3dTraining, Ho3dV2, Ho3dV3

__all__ = ["Ho3dEvaluation", "Ho3dTraining", "Ho3dV2", "Ho3dV3"]
