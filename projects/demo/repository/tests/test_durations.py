import unittest

from orbit.durations import parse_duration


class ParseDurationTest(unittest.TestCase):
    def test_parts_are_added_up(self):
        self.assertEqual(parse_duration("1h 30m"), 5400)
        self.assertEqual(parse_duration("1d2h3m4s"), 93784)

    def test_fractions_and_milliseconds_count(self):
        self.assertEqual(parse_duration("1.5h"), 5400)
        self.assertEqual(parse_duration("250ms"), 0.25)

    def test_a_sign_is_for_the_whole(self):
        self.assertEqual(parse_duration("-1m 30s"), -90)

    def test_nonsense_is_refused_with_the_text_in_question(self):
        for text in ("", "-", "1", "h", "1x", "1h 1h", "1 h 2"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                parse_duration(text)


if __name__ == "__main__":
    unittest.main()
