"""Guard rails for agents."""
