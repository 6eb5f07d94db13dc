"""Speed and quality, measured: `python -m benchmarks.NAME` prints a table with the figure asked for in each row."""
