import subprocess
import sys

import pytest

from mergewright.domain.errors import WrongUse
from mergewright.domain.session import Usage
from mergewright.models.cost import pricing
from mergewright.models.select import ModelSettings, open_model


@pytest.mark.parametrize("name", ["", "gpt-5", "openai:", ":gpt-5"])
def test_what_names_no_model_gets_the_list_of_forms(name: str) -> None:
    with pytest.raises(WrongUse) as caught:
        open_model(name, ModelSettings())
    assert "openai:MODEL" in caught.value.hint


def test_openai_without_a_key_names_the_setting_but_another_server_needs_none() -> None:
    with pytest.raises(WrongUse) as caught:
        open_model("openai:gpt-5", ModelSettings())
    assert "OPENAI_API_KEY" in caught.value.hint
    assert open_model("openai:qwen3", ModelSettings(base_url="http://127.0.0.1:1/v1")).name == "openai:qwen3"
    assert open_model("local:qwen3", ModelSettings()).name == "local:qwen3"
    assert open_model("openai-chat:gpt-5", ModelSettings(api_key="k")).name == "openai-chat:gpt-5"


def test_keys_do_not_show_in_the_settings() -> None:
    shown = repr(ModelSettings(api_key="top-secret", extra_headers={"X-Key": "top-secret"}))
    assert "top-secret" not in shown


def test_a_hosted_models_cost_is_known_and_an_unknown_models_is_not() -> None:
    usage = Usage(1, 1_000_000, 1_000_000, 500_000)
    known = pricing(None, provider="openai", model="gpt-4o")(usage).cost
    assert known == pytest.approx(2.5 / 2 + 1.25 / 2 + 10.0)
    assert pricing(None, provider="openai", model="no-such-model")(usage).cost is None
    assert pricing(None)(usage).cost is None


def test_opening_a_model_on_our_own_wire_loads_no_sdk() -> None:
    code = (
        "import sys; from mergewright.models.select import *; open_model('local:m', ModelSettings());"
        "print([m for m in ('openai', 'pydantic_ai', 'pydantic', 'httpx2', 'genai_prices') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
