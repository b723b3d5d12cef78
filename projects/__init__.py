"""The company: projects, issues, tasks, workflow, git repositories, pull requests, votes, knowledge."""
