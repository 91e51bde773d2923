import re
from pathlib import Path

import pytest

from mergewright.app.adapters import model_name, model_settings, sandbox_settings
from mergewright.app.settings import FIRST_SERVED, Settings
from mergewright.domain.errors import ModelUnavailable, WrongUse
from tests.support.model_stub import ModelStub


def test_each_key_goes_to_its_own_provider_only(tmp_path: Path) -> None:
    settings = Settings(tmp_path, openai_api_key="o", openai_base_url="http://127.0.0.1:1", anthropic_api_key="a")
    assert model_settings(settings, "openai:x").api_key == "o"
    assert model_settings(settings, "anthropic:x").api_key == "a"
    assert model_settings(settings, "anthropic:x").base_url == ""
    assert model_settings(settings, "google:x").api_key == ""
    assert model_settings(settings, "recorded:x").api_key == ""


async def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = Settings(tmp_path, model=FIRST_SERVED, openai_base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ModelUnavailable, match=re.escape("127.0.0.1:9")) as refused:
        await model_name(settings)
    assert "MERGEWRIGHT_MODEL" in refused.value.hint


@pytest.mark.parametrize("url", ["http://me:hunter2@127.0.0.1:9/v1", "http://me:hunter2@[::1/v1", "http://[/v1"])
async def test_an_address_that_leads_nowhere_is_named_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(ModelUnavailable) as refused:
        await model_name(Settings(tmp_path, model=FIRST_SERVED, openai_base_url=url))
    assert "hunter2" not in f"{refused.value.message} {refused.value.hint}"


async def test_a_server_that_lists_no_model_is_refused(tmp_path: Path) -> None:
    with ModelStub() as stub:
        settings = Settings(tmp_path, model=FIRST_SERVED, openai_base_url=f"{stub.base_url}/nothing")
        with pytest.raises(ModelUnavailable):
            await model_name(settings)


def test_a_home_that_a_toolchain_would_show_to_the_sandbox_is_refused(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home", toolchains=(tmp_path,))
    settings.home.mkdir()
    with pytest.raises(WrongUse, match="must stay hidden"):
        sandbox_settings(settings)
