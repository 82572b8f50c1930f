"""How weights are changed: optimizers, the schedule of their rate, the average that is kept of them, and on what."""
