import pytest

from mergewright.models.redact import clip, redact


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF1234567890abcDEF",
        "sk-ant-api03-abcdefgh12345",
        "glpat-AbCdEfGhIjKlMnOpQrSt",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "Bearer abcdefghijkl.mnop",
    ],
)
def test_whatever_looks_like_a_key_is_taken_out(secret: str) -> None:
    text = redact(f"the key is {secret}, keep it")
    assert secret.removeprefix("Bearer ") not in text
    assert text.endswith(", keep it")


def test_a_password_in_an_address_is_taken_out() -> None:
    assert redact("push to https://bot:hunter2@git.example/x") == "push to https://<key>@git.example/x"


def test_known_secrets_are_taken_out_whatever_they_look_like() -> None:
    assert redact("a correct horse", "correct horse", "") == "a <key>"


def test_the_placeholder_key_of_a_local_server_is_an_ordinary_word() -> None:
    assert redact("value: none, ollama", "none", "ollama") == "value: none, ollama"


def test_ordinary_text_stays() -> None:
    text = "class sk-spinner, https://git.example/a@b, a task-list, max_tokens=4"
    assert redact(text) == text


def test_a_long_text_is_clipped_to_one_line() -> None:
    assert clip("a\n b " * 100, 10) == "a b a b a…"
