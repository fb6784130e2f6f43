"""HALO's articulated implicit hand: palm frames, canonical bones and the occupancy networks of its 16 parts."""
