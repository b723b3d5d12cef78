"""The library of the demo project brings tests of its own: they run in its sandbox, not here."""

collect_ignore = ["repository"]
