"""The page: one self-contained HTML file, made of finished tables and figures."""
