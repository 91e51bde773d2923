import pytest

from mergewright.domain.agent import Message, Role
from mergewright.models.normalise import RULES, find_work_tree, normalise

SAME: dict[str, tuple[str, str]] = {
    "colours": ("\x1b[31mFAILED\x1b[0m x", "FAILED x"),
    "loopback addresses": ("GET http://127.0.0.1:43121/api", "GET http://localhost:5000/api"),
    "test runner's surroundings": (
        "platform linux -- Python 3.11.2, pytest-8.1\nrootdir: /a/b\nplugins: anyio-4\ncollected 2 items",
        "platform darwin -- Python 3.13.0, pytest-9.2\ncollected 2 items",
    ),
    "long listings": (
        "drwxr-xr-x 2 root root 4096 Nov 20 23:56 src",
        "drwxr-xr-x 3 ana staff   96 Jan  2 03:04 src",
    ),
    "long listings' totals": ("total 68\nx", "total 8\nx"),
    "temporary folders": ("see /tmp/pytest-of-root/pytest-0/x0/a.txt now", "see /var/folders/zz/T/tmpab1/b.txt now"),
    "absolute paths": ("in /home/ana/src/app/x.py line 3", "in /root/build/x.py line 3"),
    "unique ids": ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-0000-4000-8000-000000000000"),
    "memory addresses": ("<Row at 0x7f3a12bc4d90>", "<Row at 0x10ab34ef0>"),
    "dates with times": ("made 2026-11-20T23:56:50.123Z", "made 2024-01-02 03:04:05+02:00"),
    "dates": ("on 2026-11-20", "on 2024-01-02"),
    "times of day": ("at 23:56:50,123 ok", "at 03:04:05 ok"),
    "durations": ("3 passed in 0.12s, slept 350ms", "3 passed in 1.3 s, slept 2 ms"),
    "processor times": (
        "Tests=4,  0 wallclock secs ( 0.02 usr  0.01 sys +  0.03 cusr  0.00 csys =  0.06 CPU) in 0m0.510s",
        "Tests=4, 12 wallclock secs (11.00 usr + 0.50 sys = 11.50 CPU) in 1m12.3s",
    ),
    "test durations": ("# duration_ms 12.5 time=0.3", "# duration_ms 7.125 time=1.25"),
    "process ids": ("server with pid 4711", "server with pid 12"),
    "hashes": ("[main 1a2b3c4] Fix", "[main 0123456789abcdef0123456789abcdef01234567] Fix"),
    "versions": ("Python 3.11", "Python 3.13"),
    "version numbers": ("left-pad 1.3.0", "left-pad 2.10.4-rc.1"),
    "rulers": ("========= 1 passed =========", "============= 1 passed ============="),
    "space at line ends": ("a  \r\nb\t", "a\nb"),
}


@pytest.mark.parametrize("name", [rule.name for rule in RULES])
def test_each_rule_makes_two_runs_alike_and_is_needed_for_it(name: str) -> None:
    one, other = SAME[name]
    assert normalise(one) == normalise(other)
    rest = [rule for rule in RULES if rule.name != name]
    for rule in rest:
        one, other = rule.pattern.sub(rule.replacement, one), rule.pattern.sub(rule.replacement, other)
    assert one.strip() != other.strip()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Fri Nov 20 23:56:50 2026 +0000", "Mon Jan  5 03:04:05 2025 +0200"),
        ("Fri Nov 20 23:56:50 UTC 2026", "Mon Jan 5 03:04:05 UTC 2025"),
        ("Fri, 20 Nov 2026 23:56:50 GMT", "Mon, 05 Jan 2025 03:04:05 GMT"),
        ("-rw-r--r-- 1 root root 12 Nov 20  2025 a", "-rw-r--r--. 1 ana ana 99 Nov 20 2025 a"),
        ("=== 3 passed in 61.02s (0:01:01) ===", "=== 3 passed in 2.10s ==="),
        ("Ran 5 tests in 0.003s\n\nOK", "Ran 5 tests in 1.203s\n\nOK"),
        (
            "Switched to python3.11 in /usr/lib/python3.11/json/decoder.py",
            "Switched to python3.13 in /opt/py/decoder.py",
        ),
    ],
)
def test_common_output_of_two_runs_is_alike(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 passed", "2 passed"),
        ("!7 is open", "!8 is open"),
        ("exit 0", "exit 1"),
        ("src/a.py:3", "src/a.py:4"),
        ("GET /api/users", "GET /api/teams"),
        ("limit = 20", "limit = 50"),
        ("a\n  b", "a\n    b"),
        ("ok 1 - adds", "not ok 1 - adds"),
    ],
)
def test_what_means_something_stays_different(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_a_normalised_text_stays_as_it_is() -> None:
    for pair in SAME.values():
        for text in pair:
            assert normalise(normalise(text)) == normalise(text)


def test_the_work_tree_is_told_from_other_paths() -> None:
    text = "/home/ana/work/7/src/a.py and /home/ana/other/b.py"
    assert normalise(text, work_tree="/home/ana/work/7") == "{work-tree}/src/a.py and <path>/b.py"


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("Working directory: /tmp/w-1/tree", "/tmp/w-1/tree"),
        ("The work tree is `/tmp/w-1`.", "/tmp/w-1"),
        ("- working directory /tmp/w-1/, Python 3.11", "/tmp/w-1"),
        ("Read /etc/hosts", ""),
    ],
)
def test_the_work_tree_is_found_in_the_prompt(prompt: str, found: str) -> None:
    assert find_work_tree([Message(Role.SYSTEM, "Hi"), Message(Role.USER, prompt)]) == found


def test_a_tools_output_cannot_name_the_work_tree() -> None:
    assert find_work_tree([Message(Role.TOOL, "Working directory: /tmp/evil", call_id="c")]) == ""
