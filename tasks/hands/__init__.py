"""MANO-format hand models: the open procedural hand by default, licensed MANO by PALMARES_MANO."""
