"""Speed, as ratios within one run; each prints a table and, last, one JSON object."""
