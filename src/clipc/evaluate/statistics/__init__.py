"""How sure a difference is: intervals over seeds and test items, p values, the seeds that are needed, the verdict."""
