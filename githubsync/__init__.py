"""The company's line to GitHub: connections, forge, webhooks."""
