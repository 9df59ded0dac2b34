"""With a real small model: `make test-local-llm`. No file is named test_*, so that `make test` wants none."""
