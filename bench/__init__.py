"""Measures what Mission Control promises, side by side, in one run: ``python -m bench [subject …]``.

Each subject is a module of ``bench.subjects``. It is measured in a process of its own, on a database and a data
directory of its own, with real servers on 127.0.0.1. ``docs/benchmarks.md`` has the method and the numbers of one run.
"""
