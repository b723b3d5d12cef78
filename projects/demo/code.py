"""The lines that the play writes into the demo project, and those that it finds there."""

MAIN = """

if __name__ == "__main__":
    unittest.main()
"""

DURATIONS_END = "    return sign * seconds\n"
FORMAT_DURATION = '''

def format_duration(seconds: float) -> str:
    """Return the shortest text that ``parse_duration`` reads back as ``seconds``, to the millisecond."""
    rest = round(seconds * 1_000)
    parts = []
    for unit in ("w", "d", "h", "m", "s", "ms"):
        amount, rest = divmod(rest, round(UNITS[unit] * 1_000))
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts) or "0s"
'''
FORMAT_DURATION_SIGNED = '''

def format_duration(seconds: float) -> str:
    """Return the shortest text that ``parse_duration`` reads back as ``seconds``, to the millisecond."""
    sign = "-" if seconds < 0 else ""
    rest = round(abs(seconds) * 1_000)
    parts = []
    for unit in ("w", "d", "h", "m", "s", "ms"):
        amount, rest = divmod(rest, round(UNITS[unit] * 1_000))
        if amount:
            parts.append(f"{amount}{unit}")
    return sign + " ".join(parts) if parts else "0s"
'''
DURATIONS_IMPORT = "from orbit.durations import parse_duration"
DURATIONS_IMPORT_BOTH = "from orbit.durations import format_duration, parse_duration"
DURATIONS_LAST_TEST = """
    def test_the_parser_reads_it_back(self):
        for seconds in (0, 0.001, 1.5, 59, 60, 3_661, 86_399, 1_000_000):
            with self.subTest(seconds=seconds):
                self.assertEqual(parse_duration(format_duration(seconds)), seconds)
"""
DURATIONS_TESTS = f"""

class FormatDurationTest(unittest.TestCase):
    def test_the_largest_unit_comes_first(self):
        self.assertEqual(format_duration(5400), "1h 30m")
        self.assertEqual(format_duration(93784.25), "1d 2h 3m 4s 250ms")

    def test_nothing_is_zero_seconds(self):
        self.assertEqual(format_duration(0), "0s")
{DURATIONS_LAST_TEST}"""
DURATIONS_SIGN_TEST = """
    def test_a_negative_amount_has_one_sign_in_front(self):
        self.assertEqual(format_duration(-90), "-1m 30s")
        self.assertEqual(parse_duration(format_duration(-93784.25)), -93784.25)
"""

SIZES_END = "    return int(size)\n"
SIZE_FITS = "if amount < 1024 or unit == BINARY[-1]:"
SIZE_FITS_ROUNDED = "if round(amount, 1) < 1024 or unit == BINARY[-1]:"
FORMAT_SIZE = f'''

def format_size(size: int) -> str:
    """Return ``size`` bytes in the largest binary unit that fits, with at most one decimal."""
    amount = float(size)
    for unit in BINARY:
        {SIZE_FITS}
            break
        amount /= 1024
    return f"{{amount:.1f}}".removesuffix(".0") + f" {{unit}}"
'''
SIZES_IMPORT = "from orbit.sizes import parse_size"
SIZES_IMPORT_BOTH = "from orbit.sizes import format_size, parse_size"
SIZES_TESTS = """

class FormatSizeTest(unittest.TestCase):
    def test_the_largest_unit_that_fits_is_taken(self):
        self.assertEqual(format_size(512), "512 B")
        self.assertEqual(format_size(1536), "1.5 KiB")
        self.assertEqual(format_size(1572864), "1.5 MiB")

    def test_what_rounds_up_to_the_next_unit_is_shown_in_it(self):
        self.assertEqual(format_size(1048575), "1 MiB")

    def test_beyond_the_last_unit_the_number_grows(self):
        self.assertEqual(format_size(2048 * 1024**4), "2048 TiB")
"""

PACKAGE = '"""Amounts the way people write them."""\n'
EXPORTS = """
from orbit.durations import format_duration, parse_duration
from orbit.sizes import format_size, parse_size

__all__ = ["format_duration", "format_size", "parse_duration", "parse_size"]
"""
COMMAND = '''"""``python3 -m orbit 5400s 1536KiB``: write each amount the way people do, one a line."""

import sys

from orbit import format_duration, format_size, parse_duration, parse_size


def pretty(word: str) -> str:
    """Return a duration or a size in its shortest form. Raises ValueError for anything else."""
    try:
        return format_duration(parse_duration(word))
    except ValueError:
        return format_size(parse_size(word))


def main(words: list[str]) -> int:
    """Write what can be read, complain about the rest, and return the exit code."""
    status = 0
    for word in words:
        try:
            print(pretty(word))
        except ValueError as error:
            print(error, file=sys.stderr)
            status = 2
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''
COMMAND_TESTS = """import subprocess
import sys
import unittest


def orbit(*words):
    return subprocess.run([sys.executable, "-m", "orbit", *words], capture_output=True, text=True)


class CommandTest(unittest.TestCase):
    def test_amounts_come_out_one_a_line(self):
        done = orbit("5400s", "1536KiB")
        self.assertEqual((done.returncode, done.stdout), (0, "1h 30m\\n1.5 MiB\\n"))

    def test_a_word_that_cannot_be_read_does_not_hide_the_others(self):
        done = orbit("2x", "90s")
        self.assertEqual((done.returncode, done.stdout), (2, "1m 30s\\n"))
        self.assertIn("2x", done.stderr)


if __name__ == "__main__":
    unittest.main()
"""
README_TESTS = "Tests: `python3 -m unittest discover -q`\n"
README_COMMAND = """Both can be written again: `format_duration(5400)` is `1h 30m`, `format_size(1572864)` is `1.5 MiB`.
From a shell:

```sh
$ python3 -m orbit 5400s 1536KiB
1h 30m
1.5 MiB
```

"""
