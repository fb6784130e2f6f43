"""IntagHand: interacting attention graph for both hands' meshes from one image (CVPR 2022)."""
