from typing import Any

import pytest
import yaml

from mergewright.domain.errors import WrongUse
from mergewright.flows.document import LOADER, read_document

LOADERS = pytest.mark.parametrize("loader", [yaml.SafeLoader, LOADER])


@LOADERS
def test_a_document_comes_as_plain_values(loader: Any) -> None:
    assert read_document("a: [1, two]\nb: {c: null}\n", name="it", loader=loader) == {"a": [1, "two"], "b": {"c": None}}
    assert read_document("", name="it", loader=loader) is None


@LOADERS
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("*x", "line 1: aliases are not allowed in it"),
        ("a: &x [1]\nb:\n  - *x", "line 3: aliases are not allowed in it"),
        ("&x [*x]", "line 1: aliases are not allowed in it"),
        ("a:\n  - b: 1\n    b: 2", "line 3: `b` is given twice"),
        ("? {c: 1, c: 2}\n: x", "line 1: it is not YAML: found unhashable key"),
        ("? [b]\n: x", "line 1: it is not YAML: found unhashable key"),
        ("a: !!python/name:os.system x", "line 1: it is not YAML"),
        ("a: [", "line 1: it is not YAML"),
        ("a: 1\n---\nb: 2", "line 2: it is not YAML"),
        ("[" * 250_000, "it is nested too deeply"),
        ("{a: " * 60_000, "it is nested too deeply"),
        ("\n".join(f"{' ' * n}a{n}:" for n in range(101)), "it is nested too deeply"),
    ],
)
def test_what_could_do_harm_or_mislead_is_refused_with_its_line(loader: Any, text: str, problem: str) -> None:
    with pytest.raises(WrongUse) as caught:
        read_document(text, name="it", loader=loader)
    assert caught.value.message.startswith(problem)
