"""What fcfast is measured with: benchmarks (``pytest bench``), the full report (``python -m bench.report``), experiments."""
