"""Larger runs of what the tests in `tests/crash` do: real servers, killed."""
