import json

import pytest

from mergewright.domain.errors import MergewrightError, WrongUse
from mergewright.engine.failures import decode, encode


def test_an_error_of_ours_comes_back_as_it_was() -> None:
    back = decode(json.loads(json.dumps(encode(WrongUse("Bad setting", hint="fix it")))))
    assert (type(back), back.message, back.hint, back.exit_code) == (WrongUse, "Bad setting", "fix it", 2)


@pytest.mark.parametrize("name", ["ValueError", "__doc__", "MergewrightError"])
def test_any_other_error_becomes_one_a_person_can_read(name: str) -> None:
    back = decode({"error": name, "message": "what happened", "hint": ""})
    assert type(back) is MergewrightError
    assert "what happened" in back.message
