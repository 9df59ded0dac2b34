"""The job record in Redis: the truth about every job. Each change of it is one Lua script."""
