"""The whole company in real processes, on a repository that nobody here wrote."""
