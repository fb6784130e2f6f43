"""The declaration of AMVUR."""

from methods.base import MethodSpec

SPEC = MethodSpec(
    name="amvur",
    title="AMVUR",
    kind="paper",
    version=1,
    tasks=("single_hand",),
    summary="attention from joints to vertices gives each vertex a mean and a variance, tied to a MANO prior; textured",
    source="Jiang, Rahmani, Black, Williams, CVPR 2023, arXiv 2304.14299",
    implementation="methods.amvur.method:Amvur",
    config="methods.amvur.config:AmvurConfig",
)
