"""``palmares tune``: which settings give the lowest validation loss."""
