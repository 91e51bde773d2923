from pathlib import Path

import pytest

from mergewright.app.settings import FIRST_SERVED, VARIABLES, read_settings
from mergewright.domain.errors import WrongUse


def test_an_empty_environment_gives_a_home_in_the_users_data_folder_and_no_model() -> None:
    settings = read_settings({})
    assert settings.home.name == "mergewright"
    assert settings.home.is_absolute()
    assert settings.model == ""
    with pytest.raises(WrongUse) as refused:
        settings.require_model()
    assert "MERGEWRIGHT_MODEL" in refused.value.hint


@pytest.mark.parametrize(
    ("environment", "model"),
    [
        ({"OPENAI_API_KEY": "key"}, "openai:"),
        ({"ANTHROPIC_API_KEY": "key"}, "anthropic:"),
        ({"OPENAI_API_KEY": "key", "ANTHROPIC_API_KEY": "key"}, "openai:"),
        ({"OPENAI_API_KEY": "key", "MERGEWRIGHT_MODEL": "local:qwen3"}, "local:qwen3"),
    ],
)
def test_a_key_alone_chooses_the_models_provider_and_a_name_stands_before_it(
    environment: dict[str, str], model: str
) -> None:
    assert read_settings(environment).model.startswith(model)


def test_a_server_alone_means_the_first_model_that_it_serves() -> None:
    assert read_settings({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1/"}).model == FIRST_SERVED


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", "1e999"])
@pytest.mark.parametrize("name", ["MERGEWRIGHT_SILENCE", "MERGEWRIGHT_MAX_TURNS", "MERGEWRIGHT_MAX_COST"])
def test_a_number_that_is_none_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(WrongUse, match=name):
        read_settings({name: value})


def test_limits_come_from_the_environment() -> None:
    settings = read_settings({"MERGEWRIGHT_MAX_TURNS": "7", "MERGEWRIGHT_MAX_COST": "1.5"})
    assert (settings.limits.turns, settings.limits.cost) == (7, 1.5)


def test_a_toolchain_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="MERGEWRIGHT_TOOLCHAINS"):
        read_settings({"MERGEWRIGHT_TOOLCHAINS": f"{tmp_path}:{tmp_path / 'missing'}"})
    assert tmp_path in read_settings({"MERGEWRIGHT_TOOLCHAINS": str(tmp_path)}).toolchains


def test_no_secret_shows_when_the_settings_are_printed() -> None:
    secrets = {name: "very-secret" for name in VARIABLES if name.endswith(("KEY", "TOKEN"))}
    assert len(secrets) >= 4
    assert "very-secret" not in repr(read_settings(secrets))
