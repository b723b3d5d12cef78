from projects import diffs

TWO = """diff --git a/one.py b/one.py
--- a/one.py
+++ b/one.py
@@ -1,2 +1,2 @@
 same
-old
+new
diff --git a/a b/two.txt b/a b/two.txt
new file mode 100644
--- /dev/null
+++ b/a b/two.txt
@@ -0,0 +1,2 @@
+++ not a header
+-- nor this
"""


def test_a_diff_is_divided_by_files_with_their_lines_counted():
    one, two = diffs.changes(TWO)
    assert (one.path, one.added, one.removed) == ("one.py", 1, 1)
    assert (two.path, two.added, two.removed) == ("two.txt", 2, 0)
    assert one.patch + two.patch == TWO
    assert diffs.stat(TWO) == "one.py +1 -1\ntwo.txt +2 -0"


def test_characters_that_only_some_take_for_line_ends_end_no_line():
    diff = "diff --git a/a b/a\n@@ -1 +1 @@\n-x\n+x\x0c+y\u2028+z\n"
    (change,) = diffs.changes(diff)
    assert (change.added, change.removed) == (1, 1)
    assert change.patch == diff


def test_nothing_changes_nothing():
    assert diffs.changes("") == []
    assert diffs.changes("no diff at all") == []
