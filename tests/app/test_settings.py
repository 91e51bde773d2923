from dataclasses import fields
from pathlib import Path

import pytest

from mergewright.app.settings import FIRST_SERVED, SECRETS, VARIABLES, read_settings
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


def test_a_secret_may_come_from_a_file_and_not_from_two_places(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("glpat-from-a-file\n")
    assert read_settings({"GITLAB_TOKEN_FILE": str(file)}).gitlab_token == "glpat-from-a-file"
    with pytest.raises(WrongUse, match="both"):
        read_settings({"GITLAB_TOKEN_FILE": str(file), "GITLAB_TOKEN": "other"})
    file.write_text("\n")
    with pytest.raises(WrongUse, match="empty"):
        read_settings({"MERGEWRIGHT_METRICS_TOKEN_FILE": str(file)})
    with pytest.raises(WrongUse, match="OPENAI_API_KEY_FILE"):
        read_settings({"OPENAI_API_KEY_FILE": str(tmp_path / "none")})


def test_every_variable_of_a_secret_field_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("postgresql://u:very-secret@db/x")
    settings = read_settings({f"{name}_FILE": str(file) for name in SECRETS})
    hidden = [one for one in fields(settings) if not one.repr]
    assert [one.name for one in hidden if "very-secret" not in str(getattr(settings, one.name))] == []


def test_the_database_is_a_file_in_the_home_unless_an_address_is_set(tmp_path: Path) -> None:
    assert read_settings({"MERGEWRIGHT_HOME": str(tmp_path)}).database == tmp_path / "mergewright.sqlite3"
    url = "postgresql://mergewright:hush-hush@db/mergewright"
    settings = read_settings({"MERGEWRIGHT_DATABASE_URL": url})
    assert settings.database == url
    assert "hush-hush" not in repr(settings)
    with pytest.raises(WrongUse) as refused:
        read_settings({"MERGEWRIGHT_DATABASE_URL": "mysql://u:hush-hush@db/x"})
    assert "hush-hush" not in str(refused.value)


def test_traces_go_where_the_standard_variables_say() -> None:
    base = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318/"}
    assert read_settings({}).otlp_endpoint == ""
    assert read_settings(base).otlp_endpoint == "http://127.0.0.1:4318/v1/traces"
    whole = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/x"}
    assert read_settings(base | whole).otlp_endpoint == "http://127.0.0.1:9/x"
    assert read_settings(base | {"OTEL_SDK_DISABLED": "true"}).otlp_endpoint == ""


def test_a_log_of_an_unknown_form_is_refused() -> None:
    assert read_settings({"MERGEWRIGHT_LOG": "json"}).log == "json"
    with pytest.raises(WrongUse, match="MERGEWRIGHT_LOG"):
        read_settings({"MERGEWRIGHT_LOG": "xml"})


@pytest.mark.parametrize(
    "url",
    [
        "agents.example.com",
        "https://u:p@x.example",
        "https://x.example/path",
        "ftp://x",
        "http://x.example",
        "https://",
    ],
)
def test_a_public_address_that_would_not_do_is_refused(url: str) -> None:
    with pytest.raises(WrongUse, match="MERGEWRIGHT_URL"):
        read_settings({"MERGEWRIGHT_URL": url})


def test_a_public_address_is_https_unless_it_is_this_machine_or_somebody_says_otherwise() -> None:
    assert read_settings({"MERGEWRIGHT_URL": "https://Agents.example.com/"}).url == "https://agents.example.com"
    assert read_settings({"MERGEWRIGHT_URL": "http://127.0.0.1:8930"}).url == "http://127.0.0.1:8930"
    assert read_settings({"MERGEWRIGHT_URL": "http://x.example", "MERGEWRIGHT_ALLOW_HTTP": "1"}).url
    assert read_settings({}).url == ""


def test_proxies_are_networks() -> None:
    assert read_settings({"MERGEWRIGHT_TRUSTED_PROXIES": "10.0.0.0/8, ::1"}).trusted_proxies == ("10.0.0.0/8", "::1")
    with pytest.raises(WrongUse, match="MERGEWRIGHT_TRUSTED_PROXIES"):
        read_settings({"MERGEWRIGHT_TRUSTED_PROXIES": "proxy.example"})
