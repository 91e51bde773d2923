"""Definitions are found by name in many languages."""

import pytest

from mergewright.agent.symbols import find_symbol

SOURCES: dict[str, tuple[str, str, str]] = {
    "python function over several lines": (
        "import a\n\ndef f(\n    x,\n) -> int:\n    return x\n\n\ndef g():\n    pass\n", "f",
        "def f(\n    x,\n) -> int:\n    return x",
    ),
    "python method": ("class A:\n    async def f(self):\n        pass\n\n    def g(self):\n        pass\n", "A.f",
                      "    async def f(self):\n        pass"),
    "python dictionary in a constant": ("X = {\n    1: 2,\n}\nY = 3\n", "X", "X = {\n    1: 2,\n}"),
    "python function with a brace in it": ('def f():\n    return "}"\n\ny = {\n}\n', "f", 'def f():\n    return "}"'),
    "javascript function": ("export async function f(a) {\n  if (a) {\n  }\n}\nlet b\n", "f",
                            "export async function f(a) {\n  if (a) {\n  }\n}"),
    "typescript constant": ("const f = (a: number) => {\n  return a\n}\nf(1)\n", "f",
                            "const f = (a: number) => {\n  return a\n}"),
    "javascript method": ("class A {\n  f(x) {\n    return 1\n  }\n  g() {\n  }\n}\n", "A.f",
                          "  f(x) {\n    return 1\n  }"),
    "go method": ("func (s *S) Name() string {\n\treturn s.n\n}\n", "Name",
                  "func (s *S) Name() string {\n\treturn s.n\n}"),
    "rust function": ("#[test]\npub fn f<T>(x: T) -> T\nwhere T: A {\n    x\n}\nfn g() {}\n", "f",
                      "#[test]\npub fn f<T>(x: T) -> T\nwhere T: A {\n    x\n}"),
    "java method": ("class A {\n    @Override\n    public static int f(int x) {\n        return x;\n    }\n}\n", "f",
                    "    @Override\n    public static int f(int x) {\n        return x;\n    }"),
    "ruby method": ("class A\n  def f\n    1\n  end\n\n  def g\n  end\nend\n", "A#f", "  def f\n    1\n  end"),
    "perl sub": ("sub f {\n    my $x = {};\n}\n1;\n", "f", "sub f {\n    my $x = {};\n}"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_a_definition_is_found_whole(name: str) -> None:
    source, symbol, expected = SOURCES[name]
    lines = source.split("\n")
    found = find_symbol(lines, symbol)
    assert found
    assert "\n".join(lines[found[0] - 1 : found[1]]) == expected


def test_a_definition_of_the_file_comes_before_one_in_a_class() -> None:
    assert find_symbol(["class A:", "    def f(self): pass", "", "def f():", "    pass"], "f") == (4, 5)


def test_brackets_in_texts_do_not_stretch_a_definition() -> None:
    assert find_symbol(["def f():", "    return '(['", "", "x = 1"], "f") == (1, 2)


def test_a_use_is_no_definition() -> None:
    assert find_symbol(["x = f(1)", "f(2);", "import f"], "f") is None


def test_a_method_of_another_class_is_not_taken() -> None:
    lines = ["class A:", "    pass", "", "class B:", "    def f(self): pass"]
    assert find_symbol(lines, "A.f") is None
    assert find_symbol(lines, "B.f") == (5, 5)
