"""A small language model on this machine behind OpenAI's protocol: `surefoot model serve` (docs/models.md)."""
