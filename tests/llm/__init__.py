"""A real language model in place of the scripted ones: small, slow, and bad at the job. ``make test-llm``."""
