"""Only ``make test-llm`` runs these: they need a model of 140 MB, its runtime in a venv of its own, and minutes."""

import os

collect_ignore = [] if os.environ.get("MCC_TEST_LLM") else ["test_small_model.py"]
