"""Tests that a change made weaker are named; tests that it made stronger or moved are not."""

import pytest

from mergewright.flows.weakened import TestFile, weakened

PY = """
import pytest

class Adds:
    def test_small(self):
        assert add(1, 2) == 3
        assert add(0, 0) == 0

def test_close():
    assert add(0.1, 0.2) == pytest.approx(0.3, abs=0.01)
"""


def found(before: str | None, after: str | None, path: str = "tests/test_add.py") -> list[tuple[str, str]]:
    return [(one.test, one.what) for one in weakened([TestFile(path, before, after)])]


@pytest.mark.parametrize(
    ("old", "new", "test", "what"),
    [
        ("        assert add(0, 0) == 0\n", "", "Adds::test_small", "it has 1 assertion now, 2 before"),
        ("assert add(0, 0) == 0", "assert True", "Adds::test_small", "it has an assertion now that cannot fail"),
        ("add(0, 0) == 0", "3 == 3", "Adds::test_small", "it has an assertion now that cannot fail"),
        ("add(0, 0) == 0", "(add(0, 0) == 0, 'sum')", "Adds::test_small", "it has an assertion now that cannot fail"),
        ("    def test_small", "    @pytest.mark.skip\n    def test_small", "Adds::test_small",
         "it is skipped now (pytest.mark.skip)"),
        ("def test_close", "@pytest.mark.xfail(reason='later')\ndef test_close", "test_close",
         "it is skipped now (pytest.mark.xfail)"),
        ("class Adds", "@unittest.skip('later')\nclass Adds", "Adds::test_small", "it is skipped now (unittest.skip)"),
        ("import pytest\n", "import pytest\npytestmark = pytest.mark.skip\n", "Adds::test_small",
         "it is skipped now (pytest.mark.skip)"),
        ("        assert add(1", "        pytest.skip('x')\n        assert add(1", "Adds::test_small",
         "it is skipped now (pytest.skip)"),
        ("abs=0.01", "abs=0.5", "test_close", "its tolerance `abs` went from 0.01 to 0.5"),
        ("def test_close", "def _test_close", "test_close", "the test was deleted or renamed"),
    ],
)  # fmt: skip
def test_a_weaker_python_test_is_named(old: str, new: str, test: str, what: str) -> None:
    assert old in PY
    assert (test, what) in found(PY, PY.replace(old, new))


def test_what_is_as_strong_as_before_is_not_named() -> None:
    stronger = PY + "\ndef test_more():\n    assert add(2, 2) == 4\n"
    assert found(PY, PY) == []
    assert found(PY, stronger.replace("abs=0.01", "abs=0.001")) == []
    assert found(None, PY) == []
    assert found(PY, PY.replace("0.3", "0.4"), path="src/add.py") == []


def test_a_deleted_test_file_is_named_with_its_tests() -> None:
    assert found(PY, None) == [("", "the file was deleted, with 2 tests (Adds::test_small, test_close)")]


def test_a_test_that_moved_to_another_file_is_not_named() -> None:
    files = [TestFile("tests/test_add.py", PY, None), TestFile("tests/unit/test_add.py", None, PY)]
    assert weakened(files) == ()
    files[1] = TestFile("tests/unit/test_add.py", None, PY.replace("        assert add(0, 0) == 0\n", ""))
    assert [one.what for one in weakened(files)] == ["it has 1 assertion now, 2 before"]


def test_a_new_test_that_is_skipped_is_named() -> None:
    after = PY + "\n@pytest.mark.skip\ndef test_more():\n    assert add(2, 2) == 4\n"
    assert found(PY, after) == [("test_more", "the new test is skipped")]


@pytest.mark.parametrize(
    ("path", "before", "after", "test", "what"),
    [
        ("a.test.js", "it('adds', () => {\n  expect(add(1,2)).toBe(3)\n  expect(add(0,0)).toBe(0)\n})\n",
         "it('adds', () => {\n  expect(add(1,2)).toBe(3)\n})\n", "adds", "it has 1 assertion now, 2 before"),
        ("a.test.js", "test('adds', () => { expect(add(1,2)).toBe(3) })\n",
         "test.skip('adds', () => { expect(add(1,2)).toBe(3) })\n", "adds", "it is skipped now (skip)"),
        ("a.test.ts", "it('adds', () => { expect(add(1,2)).toBe(3) })\n",
         "xit('adds', () => { expect(add(1,2)).toBe(3) })\n", "adds", "it is skipped now (x)"),
        ("a.test.ts", "it('adds', () => { expect(add(1,2)).toBe(3) })\n",
         "it('adds', () => { expect(true).toBe(true) })\n", "adds", "it has an assertion now that cannot fail"),
        ("add_test.go", "func TestAdd(t *testing.T) {\n\tif add(1, 2) != 3 {\n\t\tt.Error(1)\n\t}\n}\n",
         "func TestAdd(t *testing.T) {\n\tt.Skip()\n\tif add(1, 2) != 3 {\n\t\tt.Error(1)\n\t}\n}\n",
         "TestAdd", "it is skipped now (t.Skip)"),
        ("add_test.go",
         "func TestAdd(t *testing.T) {\n\tt.Error(1)\n}\nfunc TestSub(t *testing.T) {\n\tt.Error(1)\n}\n",
         "func TestAdd(t *testing.T) {\n\tt.Error(1)\n}\n", "TestSub", "the test was deleted or renamed"),
        ("tests/add.rs", "#[test]\nfn adds() {\n    assert_eq!(add(1, 2), 3);\n}\n",
         "#[test]\n#[ignore]\nfn adds() {\n    assert_eq!(add(1, 2), 3);\n}\n", "adds",
         "it is skipped now (#[ignore])"),
        ("t/add.t", "use Test::More;\nis(add(1, 2), 3);\nok(add(0, 0) == 0);\ndone_testing;\n",
         "use Test::More;\nis(add(1, 2), 3);\ndone_testing;\n", "the file's top level",
         "it has 1 assertion now, 2 before"),
        ("t/add.t", "use Test::More;\nis(add(1, 2), 3);\nok(add(0, 0) == 0);\n",
         "use Test::More;\nis(add(1, 2), 3);\nok(1);\n", "the file's top level",
         "it has an assertion now that cannot fail"),
        ("spec/add_spec.rb", "it 'adds' do\n  expect(add(1, 2)).to eq 3\nend\n", "", "adds",
         "the test was deleted or renamed"),
    ],
)  # fmt: skip
def test_a_weaker_test_of_another_language_is_named(path: str, before: str, after: str, test: str, what: str) -> None:
    assert (test, what) in found(before, after, path)


def test_python_that_does_not_parse_is_still_compared() -> None:
    broken = "def test_a():\n    assert add(1) == 1\ndef test_b(:\n    assert add(2) == 2\n"
    assert ("test_b", "the test was deleted or renamed") in found(broken, broken.partition("def test_b")[0])
