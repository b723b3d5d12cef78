"""What the demo project is about, and what somebody wants from it."""

PROJECT = (
    "A small library that reads durations and sizes the way people write them. Made for trying out Mission Control."
)
TITLE = "Write amounts the way people write them"
BODY = """\
Orbit reads `1h 30m` and `10 MiB`, but cannot write them. In our logs we still see `5400.0` and `1572864`.

- A duration should come out as the shortest text that `parse_duration` reads back.
- A size should come out in the largest binary unit that fits, with at most one decimal.
- From a shell I want to say `python3 -m orbit 5400s 1536KiB` and read `1h 30m` and `1.5 MiB`.
"""
