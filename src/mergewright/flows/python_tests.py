"""Takes Python test files apart: which tests there are and how much each asserts."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TOLERANCES = frozenset({"abs", "rel", "rel_tol", "abs_tol", "atol", "rtol", "delta", "places"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What makes a test strong or weak, as far as one can see without running it."""

    asserts: int
    skipped: str = ""
    """By what it is skipped or expected to fail; empty when it runs."""
    empty_asserts: int = 0
    """Assertions that cannot fail, such as `assert True`."""
    tolerances: Mapping[str, float] = field(default_factory=dict)


def python_tests(text: str) -> dict[str, Shape] | None:
    """Give each test by its name, `Class::test_name` in a class; None when the file is not Python that parses."""
    try:
        tree = ast.parse(text)
        return dict(_tests(tree.body, "", _module_skip(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # A file may be nested on purpose until the parser, or we, give up on it.
        return None


def _tests(body: list[ast.stmt], prefix: str, skipped: str) -> Iterator[tuple[str, Shape]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            marks = _marks(node.decorator_list) or skipped
            yield from _tests(node.body, f"{prefix}{node.name}::", marks)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            yield prefix + node.name, _shape(node, skipped)


def _shape(node: ast.FunctionDef | ast.AsyncFunctionDef, skipped: str) -> Shape:
    asserts = empty = 0
    tolerances: dict[str, float] = {}
    marks = _marks(node.decorator_list) or skipped
    for part in ast.walk(node):
        if isinstance(part, ast.Assert):
            asserts += 1
            empty += _always_true(part.test)
        elif isinstance(part, ast.Call):
            name = _name(part.func)
            last = name.rpartition(".")[2]
            if last.startswith("assert") or name in {"pytest.raises", "pytest.warns", "self.fail", "pytest.fail"}:
                asserts += 1
                empty += last == "assertTrue" and bool(part.args) and _always_true(part.args[0])
            if last in {"skip", "skipTest", "xfail", "importorskip"} and name.split(".")[0] in {
                "pytest",
                "self",
                "unittest",
            }:
                marks = marks or name
            for keyword in part.keywords:
                if keyword.arg in _TOLERANCES and isinstance(keyword.value, ast.Constant):
                    value = keyword.value.value
                    if isinstance(value, int | float):
                        tolerances[keyword.arg] = float(value)
    return Shape(asserts, marks, empty, tolerances)


def _marks(decorators: list[ast.expr]) -> str:
    for decorator in decorators:
        name = _name(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if name.rpartition(".")[2] in {"skip", "skipif", "skipIf", "skipUnless", "xfail", "expectedFailure"}:
            return name
    return ""


def _module_skip(tree: ast.Module) -> str:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            values = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
            found = _marks(list(values))
            if found:
                return found
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _name(node.value.func) == "pytest.skip":
            return "pytest.skip"
    return ""


def _always_true(test: ast.expr) -> bool:
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.Tuple):
        return bool(test.elts)
    return (
        isinstance(test, ast.Compare)
        and len(test.ops) == 1
        and isinstance(test.ops[0], ast.Eq | ast.Is)
        and (ast.dump(test.left) == ast.dump(test.comparators[0]))
    )


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
