"""The engine: model gateway, agents, conversations, runs, tools, sandbox. Knows no project."""
