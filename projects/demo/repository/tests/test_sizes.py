import unittest

from orbit.sizes import parse_size


class ParseSizeTest(unittest.TestCase):
    def test_binary_and_decimal_units_differ(self):
        self.assertEqual(parse_size("1 KiB"), 1024)
        self.assertEqual(parse_size("1 kB"), 1000)

    def test_no_unit_means_bytes(self):
        self.assertEqual(parse_size("512"), 512)

    def test_fractions_must_come_out_even(self):
        self.assertEqual(parse_size("1.5MiB"), 1572864)
        with self.assertRaises(ValueError):
            parse_size("1.5B")

    def test_nonsense_is_refused(self):
        for text in ("", "MiB", "1 XB", "-1 kB", "1 2 kB"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                parse_size(text)


if __name__ == "__main__":
    unittest.main()
