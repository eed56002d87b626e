"""Training: a step, the loop around it, checkpoints, several processes, logging."""
