from mergewright.analyzers.python import Bandit, Ruff
from mergewright.domain.review import Severity
from tests.analyzers.conftest import Make

INJECTION = "def find(db, name):\n    return db.execute(f\"SELECT * FROM users WHERE name = '{name}'\")\n"


async def test_an_undefined_name_is_a_critical_finding_on_its_line(make: Make) -> None:
    [found] = await Ruff().run(make({"a.py": "x = 1\nprint(y)\n"}), ["a.py"])
    assert (found.path, found.line, found.severity, found.rule) == ("a.py", 2, Severity.CRITICAL, "F821")
    assert found.title == "Running this line raises NameError"
    assert "`y`" in found.body


async def test_a_file_that_does_not_parse_is_a_critical_finding(make: Make) -> None:
    found = await Ruff().run(make({"a.py": "def broken(:\n"}), ["a.py"])
    assert found
    assert {(one.severity, one.rule) for one in found} == {(Severity.CRITICAL, "invalid-syntax")}


async def test_sql_built_from_text_is_a_critical_security_finding(make: Make) -> None:
    [found] = await Bandit().run(make({"src/a.py": INJECTION}), ["src/a.py"])
    assert (found.path, found.line, found.category, found.severity) == ("src/a.py", 2, "security", Severity.CRITICAL)


async def test_clean_files_give_no_finding(make: Make) -> None:
    sandbox = make({"a.py": "def double(x: int) -> int:\n    return 2 * x\n"})
    assert await Ruff().run(sandbox, ["a.py"]) == []
    assert await Bandit().run(sandbox, ["a.py"]) == []


async def test_files_of_other_languages_are_not_read(make: Make) -> None:
    assert await Ruff().run(make({"a.js": "print(y)"}), ["a.js"]) == []


async def test_a_comment_that_silences_a_rule_does_not_hide_the_finding(make: Make) -> None:
    sandbox = make({"a.py": "print(y)  # noqa: F821\neval(input())  # nosec\n"})
    [undefined] = await Ruff().run(sandbox, ["a.py"])
    [evaluated] = await Bandit().run(sandbox, ["a.py"])
    assert (undefined.suppressed, evaluated.suppressed) == ("# noqa: F821", "# nosec")


async def test_more_files_than_one_command_line_takes_are_all_read(make: Make) -> None:
    names = [f"module_{number}.py" for number in range(450)]
    found = await Ruff().run(make(dict.fromkeys(names, "print(y)\n")), names)
    assert {one.path for one in found} == set(names)
