"""HO-3D v2 and v3: reader, writer and checker of their official layouts."""
