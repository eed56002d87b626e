"""Reports: functions that make HTML pages and figure files from tables."""
