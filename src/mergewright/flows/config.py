"""Reads the files by which a project configures us, always as they stand on its default branch."""

import yaml

from mergewright.domain.errors import WrongUse
from mergewright.domain.session import JSON
from mergewright.domain.yaml_file import read_yaml
from mergewright.flows.checks import Check
from mergewright.flows.fields import Fields

AGENT_CONFIG = ".gitlab/duo/agent-config.yml"
OWN_CONFIG = ".mergewright.yml"
RULES = "AGENTS.md"


def setup_script(text: str) -> tuple[str, ...]:
    """Give the commands of GitLab's `agent-config.yml` that prepare a work tree."""
    try:
        fields = _document(text)
        script = _lines(fields, "setup_script")
        # These say where else the flow would run; here it runs in its own sandbox, without a network.
        for key in ("image", "cache", "network_policy", "id_tokens"):
            fields.has(key)
        fields.end()
    except WrongUse as error:
        raise WrongUse(f"`{AGENT_CONFIG}` on the default branch: {error.message}", hint=error.hint) from error
    return script


def own_checks(text: str) -> tuple[Check, ...]:
    """Give the checks that our own file names; they go before what is found otherwise."""
    try:
        fields = _document(text)
        commands = _lines(fields, "checks")
        fields.end()
    except WrongUse as error:
        raise WrongUse(f"`{OWN_CONFIG}` on the default branch: {error.message}", hint=error.hint) from error
    return tuple(Check(command, OWN_CONFIG) for command in commands)


def _document(text: str) -> Fields:
    try:
        document: JSON = read_yaml(text)
    except yaml.YAMLError as error:
        raise WrongUse(f"it is not YAML: {error}") from error
    return Fields({} if document is None else document, "")


def _lines(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.any(name) if fields.has(name) else []
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) and line.strip() for line in lines):
        raise fields.fail(name, "expected a command, or a list of commands")
    return tuple(lines)
