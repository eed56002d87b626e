"""Statistics of differences: intervals over seeds and test items, p values, the number of seeds needed, verdicts."""
