"""Every setting, read once: the only module that looks at the environment."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mergewright.domain.agent import Limits
from mergewright.domain.errors import WrongUse
from mergewright.domain.sandbox import SandboxLimits

MODEL_HINT = "pass `--model openai:NAME`, or set MERGEWRIGHT_MODEL, OPENAI_API_KEY or ANTHROPIC_API_KEY"
DEFAULT_OPENAI_MODEL = "openai:gpt-5.5"
FIRST_SERVED = "openai:"
"""With an own server and no name, the first model that the server lists."""
DEFAULT_ANTHROPIC_MODEL = "anthropic:claude-opus-4-8"

VARIABLES: Mapping[str, str] = {
    "MERGEWRIGHT_HOME": "The folder for sessions, the database and the local forge; by default the user's data folder.",
    "MERGEWRIGHT_MODEL": "The model of new sessions, such as `openai:NAME`; `--model` goes before it.",
    "MERGEWRIGHT_MODEL_BASE_URL": "Where the model's server is, whatever its provider.",
    "MERGEWRIGHT_MODEL_API_KEY": "The key for the model, whatever its provider; goes before the providers' own keys.",
    "OPENAI_BASE_URL": "Where `openai:` and `local:` models are; set alone, it means the first model that this server "
    "lists.",
    "OPENAI_API_KEY": f"The key for `openai:` and `local:` models; set alone, it means `{DEFAULT_OPENAI_MODEL}`.",
    "ANTHROPIC_API_KEY": f"The key for `anthropic:` models; set alone, it means `{DEFAULT_ANTHROPIC_MODEL}`.",
    "GITLAB_URL": "The forge's address; without it the local forge that was started last is used.",
    "GITLAB_TOKEN": "The token for that forge, with the scope `api`; it is never taken from the command line.",
    "MERGEWRIGHT_REVIEWER_TOKEN": "The reviewer's own token for that forge; without it the reviewer is GITLAB_TOKEN's "
    "owner, who cannot approve what it wrote itself.",
    "MERGEWRIGHT_WEBHOOK_TOKEN": "What GitLab's webhooks prove themselves with in `X-Gitlab-Token`; without it one is "
    "made and kept in the home.",
    "MERGEWRIGHT_WEBHOOK_SIGNING_KEY": "The key that signs GitLab's webhooks, `whsec_…`; goes before the token.",
    "MERGEWRIGHT_ADMINS": "Usernames, separated by commas, of those who may set the organisation's policy beside the "
    "forge's own administrators.",
    "MERGEWRIGHT_MAINTAINER_TOKEN": "A token of a Maintainer, with the scope `api`, for `mergewright webhook` alone; "
    "without it GITLAB_TOKEN is used.",
    "MERGEWRIGHT_LABEL": "The label that asks for an issue to be made into a merge request; mergewright.",
    "MERGEWRIGHT_SIDE_BY_SIDE": "Sessions that one worker runs at a time; 2.",
    "MERGEWRIGHT_GITLAB_URL": "The same as GITLAB_URL, and goes before it.",
    "MERGEWRIGHT_GITLAB_TOKEN": "The same as GITLAB_TOKEN, and goes before it.",
    "MERGEWRIGHT_ALLOW_HTTP": "`1` lets the token go to another machine over plain HTTP; this machine needs no leave.",
    "MERGEWRIGHT_SILENCE": "Seconds without a byte from the model's server until a try counts as failed; 120.",
    "MERGEWRIGHT_PIPELINE_PATIENCE": "Seconds to wait for a branch's pipeline before the note on the issue is written; "
    "600.",
    "MERGEWRIGHT_FORGE_PATIENCE": "Seconds for which a request to a forge that does not answer is tried again; 60.",
    "MERGEWRIGHT_MAX_TURNS": "Requests to the model that one session may make; 100.",
    "MERGEWRIGHT_MAX_TOKENS": "Tokens that one session may use, input and output together; 4000000.",
    "MERGEWRIGHT_MAX_SECONDS": "Seconds that one session's agents may take, commands included; 3600.",
    "MERGEWRIGHT_MAX_COST": "US dollars that one session may cost, where the model's price is known; by default none.",
    "MERGEWRIGHT_REVIEW_WINDOW": "Tokens that one request of a review may take; 32000.",
    "MERGEWRIGHT_COMMAND_SECONDS": "Seconds that one command of the agent may take; 120.",
    "MERGEWRIGHT_SANDBOX_MEMORY": "Bytes of memory for one command with all its processes; 2147483648.",
    "MERGEWRIGHT_DATABASE_URL": "The database, such as `postgresql://mergewright@db/mergewright`; without it a SQLite "
    "file in the home.",
    "MERGEWRIGHT_LISTEN": "The address of this machine on which the server takes requests; 127.0.0.1.",
    "MERGEWRIGHT_URL": "The server's public address, such as `https://agents.example.com`; without it only people "
    "of this machine can sign in.",
    "MERGEWRIGHT_OAUTH_ID": "The id of the application that GitLab knows the server as, with the scope `read_api` and "
    "the redirect `MERGEWRIGHT_URL/sign-in/callback`; without it people sign in by a token of theirs.",
    "MERGEWRIGHT_OAUTH_SECRET": "That application's secret; an application that is not confidential has none.",
    "MERGEWRIGHT_HOSTS": "Further names, separated by commas, under which the server may be asked, such as a "
    "container's.",
    "MERGEWRIGHT_TRUSTED_PROXIES": "Addresses or networks, separated by commas, of proxies whose `X-Forwarded-For` is "
    "believed; by default none.",
    "MERGEWRIGHT_RATE": "Requests that one person may make in ten seconds, and one address four times as many; 150.",
    "MERGEWRIGHT_METRICS_TOKEN": "What `Authorization: Bearer` must carry for `/-/metrics` and the details of "
    "`/-/readiness`; without it they answer this machine alone.",
    "MERGEWRIGHT_LOG": "How the server writes its log to standard error: `text` or `json`; text.",
    "MERGEWRIGHT_LOG_LEVEL": "What the log holds: `debug`, `info`, `warning` or `error`, and what weighs more; info.",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "Where traces go by OTLP over HTTP, such as `http://127.0.0.1:4318`; without it "
    "none are made.",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "The same with its whole path, for traces alone; goes before it.",
    "OTEL_EXPORTER_OTLP_HEADERS": "Headers for that server, `name=value` separated by commas.",
    "OTEL_SDK_DISABLED": "`true` makes no traces, whatever else is set.",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "`true` puts the arguments and results of tools and texts "
    "of errors into traces; by default no code, prompt or answer is in them.",
    "MERGEWRIGHT_TOOLCHAINS": "Folders with interpreters or compilers that the sandbox shows read-only beside `/usr`; "
    "separated by `:`.",
}
"""Every variable that is read, and what it decides."""
SECRETS = tuple(
    name for name in VARIABLES if name.endswith(("_TOKEN", "_KEY", "_SECRET", "_DATABASE_URL", "_OTLP_HEADERS"))
)
"""Variables that can be given as a file as well: `NAME_FILE` names the file that holds the value of `NAME`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation runs with."""

    home: Path
    """Where sessions, the database and the local forge live."""
    model: str = ""
    other_model: str = ""
    """Named on the command line: stands before the model that a session was begun with."""
    gitlab_url: str = ""
    gitlab_token: str = field(default="", repr=False)
    reviewer_token: str = field(default="", repr=False)
    """The reviewer's own token; empty where it is the same account as the developer."""
    maintainer_token: str = field(default="", repr=False)
    """Sets projects up; empty where the developer's own token does."""
    webhook_token: str = field(default="", repr=False)
    webhook_signing_key: str = field(default="", repr=False)
    admins: frozenset[str] = frozenset()
    """Usernames of those who may set the organisation's policy, beside the forge's administrators."""
    label: str = "mergewright"
    """The label that asks for an issue to be made into a merge request."""
    side_by_side: int = 2
    """Sessions that one worker runs at a time."""
    allow_http: bool = False
    """Whether the token may go to another machine over plain HTTP."""
    model_base_url: str = ""
    """Where the model's server is, whatever its provider."""
    model_api_key: str = field(default="", repr=False)
    """The key for the model that is set, whatever its provider."""
    openai_base_url: str = ""
    openai_api_key: str = field(default="", repr=False)
    anthropic_api_key: str = field(default="", repr=False)
    silence: float = 120.0
    """Seconds without a byte from the model's server before a try counts as failed."""
    pipeline_patience: float = 600.0
    """Seconds to wait for a branch's pipeline before the note on the issue says that it still runs."""
    forge_patience: float = 60.0
    """Seconds for which a request to a forge that does not answer is tried again."""
    review_window: int = 32_000
    """Tokens that one request of a review may take."""
    database_url: str = field(default="", repr=False)
    """The database; empty for a SQLite file in the home."""
    listen: str = "127.0.0.1"
    """The address on which the server takes requests."""
    url: str = ""
    """The server's public address; empty where only this machine asks it."""
    oauth_id: str = ""
    oauth_secret: str = field(default="", repr=False)
    hosts: frozenset[str] = frozenset()
    """Further names under which the server may be asked."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose word for an address is believed."""
    rate: int = 150
    """Requests that one person may make in ten seconds."""
    metrics_token: str = field(default="", repr=False)
    """Opens the metrics to other machines; empty where they answer this machine alone."""
    log: str = "text"
    log_level: str = "info"
    otlp_endpoint: str = ""
    """Where traces go; empty where none are made."""
    otlp_headers: str = field(default="", repr=False)
    trace_content: bool = False
    """Whether traces hold the arguments and results of tools and the texts of errors."""
    limits: Limits = field(default_factory=Limits)
    sandbox: SandboxLimits = field(default_factory=SandboxLimits)
    toolchains: tuple[Path, ...] = ()
    """Host directories with interpreters or compilers, shown read-only in the sandbox beside /usr."""

    @property
    def database(self) -> str | Path:
        return self.database_url or self.home / "mergewright.sqlite3"

    @property
    def session_folders(self) -> Path:
        return self.home / "sessions"

    @property
    def forge_home(self) -> Path:
        return self.home / "forge"

    def make_home(self) -> Path:
        """Give the home, made if it is missing; raises WrongUse when it cannot be used."""
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            why = "" if os.access(self.home, os.W_OK | os.X_OK) else "it cannot be written"
        except OSError as error:
            why = error.strerror or str(error)
        if why:
            raise WrongUse(
                f"the home `{self.home}` cannot be used: {why}", hint="set MERGEWRIGHT_HOME to a folder of yours"
            )
        return self.home

    def require_model(self) -> str:
        """Give the model's name; raises WrongUse when none is set."""
        if not self.model:
            raise WrongUse("no model is set", hint=MODEL_HINT)
        return self.model


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment; raises WrongUse for a value that cannot be used."""
    env = _with_files(os.environ if environ is None else environ)
    limits = Limits()
    return Settings(
        home=_home(env),
        model=env.get("MERGEWRIGHT_MODEL", "") or _model_of_key(env),
        gitlab_url=(env.get("MERGEWRIGHT_GITLAB_URL") or env.get("GITLAB_URL", "")).rstrip("/"),
        gitlab_token=env.get("MERGEWRIGHT_GITLAB_TOKEN") or env.get("GITLAB_TOKEN", ""),
        reviewer_token=env.get("MERGEWRIGHT_REVIEWER_TOKEN", ""),
        maintainer_token=env.get("MERGEWRIGHT_MAINTAINER_TOKEN", ""),
        webhook_token=env.get("MERGEWRIGHT_WEBHOOK_TOKEN", ""),
        webhook_signing_key=env.get("MERGEWRIGHT_WEBHOOK_SIGNING_KEY", ""),
        admins=frozenset(env.get("MERGEWRIGHT_ADMINS", "").replace(",", " ").split()),
        label=env.get("MERGEWRIGHT_LABEL", "").strip() or "mergewright",
        side_by_side=max(int(_number(env, "MERGEWRIGHT_SIDE_BY_SIDE", 2)), 1),
        allow_http=env.get("MERGEWRIGHT_ALLOW_HTTP", "") == "1",
        model_base_url=env.get("MERGEWRIGHT_MODEL_BASE_URL", "").rstrip("/"),
        model_api_key=env.get("MERGEWRIGHT_MODEL_API_KEY", ""),
        openai_base_url=env.get("OPENAI_BASE_URL", "").rstrip("/"),
        openai_api_key=env.get("OPENAI_API_KEY", ""),
        anthropic_api_key=env.get("ANTHROPIC_API_KEY", ""),
        silence=_number(env, "MERGEWRIGHT_SILENCE", 120.0),
        pipeline_patience=_number(env, "MERGEWRIGHT_PIPELINE_PATIENCE", 600.0),
        forge_patience=_number(env, "MERGEWRIGHT_FORGE_PATIENCE", 60.0),
        database_url=_database_url(env),
        listen=env.get("MERGEWRIGHT_LISTEN") or "127.0.0.1",
        url=_public_url(env),
        oauth_id=env.get("MERGEWRIGHT_OAUTH_ID", ""),
        oauth_secret=env.get("MERGEWRIGHT_OAUTH_SECRET", ""),
        hosts=frozenset(env.get("MERGEWRIGHT_HOSTS", "").lower().replace(",", " ").split()),
        trusted_proxies=_networks(env, "MERGEWRIGHT_TRUSTED_PROXIES"),
        rate=max(int(_number(env, "MERGEWRIGHT_RATE", 150)), 1),
        metrics_token=env.get("MERGEWRIGHT_METRICS_TOKEN", ""),
        log=_one_of(env, "MERGEWRIGHT_LOG", ("text", "json")),
        log_level=_one_of(env, "MERGEWRIGHT_LOG_LEVEL", ("info", "debug", "warning", "error")),
        otlp_endpoint=_otlp_endpoint(env),
        otlp_headers=env.get("OTEL_EXPORTER_OTLP_HEADERS", ""),
        trace_content=env.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").lower() == "true",
        review_window=max(int(_number(env, "MERGEWRIGHT_REVIEW_WINDOW", 32_000)), 8_000),
        limits=replace(
            limits,
            turns=int(_number(env, "MERGEWRIGHT_MAX_TURNS", limits.turns)),
            tokens=int(_number(env, "MERGEWRIGHT_MAX_TOKENS", limits.tokens)),
            seconds=_number(env, "MERGEWRIGHT_MAX_SECONDS", limits.seconds),
            cost=_number(env, "MERGEWRIGHT_MAX_COST", 0.0) or None,
        ),
        sandbox=replace(
            SandboxLimits(),
            seconds=_number(env, "MERGEWRIGHT_COMMAND_SECONDS", SandboxLimits().seconds),
            memory=int(_number(env, "MERGEWRIGHT_SANDBOX_MEMORY", SandboxLimits().memory)),
        ),
        toolchains=_toolchains(env),
    )


def _with_files(env: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, with the values of `NAME_FILE` where `NAME` is a secret."""
    read = {}
    for name in SECRETS:
        path = env.get(f"{name}_FILE")
        if not path:
            continue
        if env.get(name):
            raise WrongUse(f"{name} and {name}_FILE are both set", hint="unset one of them")
        try:
            # An empty file would leave the door open that the secret is to shut.
            read[name] = Path(path).read_text().strip()
        except (OSError, ValueError) as error:
            raise WrongUse(f"{name}_FILE cannot be read: `{path}`", hint="it must name a file of text") from error
        if not read[name]:
            raise WrongUse(f"{name}_FILE is empty: `{path}`", hint=f"put the value into it, or unset {name}_FILE")
    return {**env, **read} if read else env


def _database_url(env: Mapping[str, str]) -> str:
    url = env.get("MERGEWRIGHT_DATABASE_URL", "")
    if url and not url.startswith(("postgresql://", "postgresql+psycopg://", "sqlite:///")):
        # The value itself may hold a password.
        raise WrongUse("MERGEWRIGHT_DATABASE_URL is no address of a database", hint="`postgresql://USER@HOST/NAME`")
    return url


def _public_url(env: Mapping[str, str]) -> str:
    """Give the public address; cookies over plain HTTP could be read on their way."""
    url = env.get("MERGEWRIGHT_URL", "").rstrip("/")
    if not url:
        return ""
    match = re.fullmatch(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?", url)
    if match is None:
        raise WrongUse(f"MERGEWRIGHT_URL is no address: `{url}`", hint="it looks like `https://agents.example.com`")
    loopback = match[2].endswith("localhost") or match[2].startswith("127.") or match[2] == "[::1]"
    if match[1] == "http" and not loopback and env.get("MERGEWRIGHT_ALLOW_HTTP", "") != "1":
        raise WrongUse(
            f"MERGEWRIGHT_URL is `{url}`, where others could read along",
            hint="use `https://`, or set MERGEWRIGHT_ALLOW_HTTP=1",
        )
    return url.lower()


def _networks(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    from ipaddress import ip_network

    given = tuple(env.get(name, "").replace(",", " ").split())
    for text in given:
        try:
            ip_network(text)
        except ValueError as error:
            raise WrongUse(f"{name} names no network: `{text}`", hint="such as `10.0.0.0/8` or `10.1.2.3`") from error
    return given


def _otlp_endpoint(env: Mapping[str, str]) -> str:
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    if whole := env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return whole
    base = env.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    return f"{base.rstrip('/')}/v1/traces" if base else ""


def _one_of(env: Mapping[str, str], name: str, values: tuple[str, ...]) -> str:
    value = env.get(name) or values[0]
    if value.lower() not in values:
        raise WrongUse(f"{name} is none of {', '.join(values)}: `{value}`", hint=f"unset it, or set {name}={values[0]}")
    return value.lower()


def _home(env: Mapping[str, str]) -> Path:
    if env.get("MERGEWRIGHT_HOME"):
        return Path(env["MERGEWRIGHT_HOME"]).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("mergewright", appauthor=False)


def _model_of_key(env: Mapping[str, str]) -> str:
    if env.get("OPENAI_BASE_URL"):
        return FIRST_SERVED
    if env.get("OPENAI_API_KEY"):
        return DEFAULT_OPENAI_MODEL
    return DEFAULT_ANTHROPIC_MODEL if env.get("ANTHROPIC_API_KEY") else ""


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise WrongUse(f"{name} is not a positive number: `{text}`", hint=f"unset it, or set it as in {name}=60")
    return value


def _toolchains(env: Mapping[str, str]) -> tuple[Path, ...]:
    """The directories named in MERGEWRIGHT_TOOLCHAINS, and this interpreter's own where it is not below /usr."""
    named = tuple(Path(entry).expanduser() for entry in env.get("MERGEWRIGHT_TOOLCHAINS", "").split(":") if entry)
    for path in named:
        if not path.is_dir():
            raise WrongUse(f"MERGEWRIGHT_TOOLCHAINS names no directory: `{path}`", hint="separate directories with `:`")
    own = Path(sys.base_prefix).resolve()
    return named if own.is_relative_to("/usr") or own in named else (*named, own)
