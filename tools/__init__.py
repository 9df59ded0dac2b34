"""Touches the outside world: the MCP client, and the five MCP servers of the travel planner."""
