"""What happens on GitHub and what it causes here, one module for each kind of thing."""
