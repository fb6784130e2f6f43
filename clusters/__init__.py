"""The ground: where Palmares runs."""
