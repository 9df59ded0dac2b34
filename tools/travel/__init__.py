"""The travel planner's five MCP servers, each startable alone: `python -m tools.travel.flights --help`."""
