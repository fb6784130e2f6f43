"""AMVUR: probabilistic attention over mesh vertices, with occlusion-aware texture (CVPR 2023)."""
