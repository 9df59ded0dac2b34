"""Surefoot beside bare Celery on the same work, as ratios of one run: `python -m benchmarks`."""
