"""What the models of the tests do in the small calculator's project."""

from mergewright.domain.agent import Reply
from tests.flows.stage import says

SUBTRACT = "\n\ndef subtract(a, b):\n    return a - b\n"
TEST = (
    "\n\nclass Subtract(unittest.TestCase):\n    def test_subtract(self):\n"
    "        self.assertEqual(subtract(3, 2), 1)\n"
)
CHECK = "python3 -m unittest discover -s tests -t ."

PLAN = [
    says("read", path="calc.py"),
    says("finish", outcome="plan", summary="Add `subtract` beside `add`.", tasks=["Write subtract", "Test it"]),
]
IMPLEMENT = [
    says("edit", path="calc.py", edits=[{"old": "    return a + b\n", "new": "    return a + b\n" + SUBTRACT}]),
    says("edit", path="tests/test_calc.py", edits=[{"old": "import add\n", "new": "import add, subtract\n"}]),
    says("read", path="tests/test_calc.py"),
    says(
        "edit",
        path="tests/test_calc.py",
        edits=[{"old": "add(-1, 1), 0)\n", "new": "add(-1, 1), 0)\n" + TEST}],
    ),
    says("run", command=CHECK),
    says("plan", tasks=[{"text": "Write subtract", "done": True}, {"text": "Test it", "done": True}]),
    says(
        "finish",
        summary="Add subtract\n\nIt stands beside `add`.",
        tests_run=[CHECK],
        open_points=["Division is still missing."],
    ),
]
QUESTIONS = [
    says(
        "finish",
        outcome="questions",
        summary="The issue names no behaviour.",
        questions=["What should be better?", "Where does @ann see it?"],
    )
]


def break_it(number: int) -> list[Reply]:
    """Edit so that a test fails, and finish all the same."""
    return [
        says("read", path="calc.py"),
        says("write", path="calc.py", content=f"def add(a, b):\n    return a + b + {number}\n"),
        says("run", command=CHECK),
        says("finish", summary=f"Try number {number}"),
    ]
