"""The world: what a hand is, what the data are, what a prediction is and by which protocol it is scored."""
