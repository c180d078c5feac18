"""Measurements of fcfast: benchmarks (``pytest bench``), the full report (``python -m bench.report``), experiments."""
