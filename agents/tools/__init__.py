"""What agents can do. A tool is a function with a name, a JSON schema and the roles that may call it."""
