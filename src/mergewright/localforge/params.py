"""A request's parameters, the same whether they came in the query, as JSON or as a form."""

import json
import re
from email import message_from_bytes
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl, unquote

from mergewright.localforge.errors import Refused

TRUE = {"true", "1", "t", "yes", "on"}
FALSE = {"false", "0", "f", "no", "off"}


def nest(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Rack's nesting: `position[new_line]=2` and `iids[]=1` become dictionaries and lists."""
    result: dict[str, Any] = {}
    for name, value in pairs:
        head, *keys = re.findall(r"^[^\[]*|(?<=\[)[^\]]*(?=\])", name)[:33] or [name]
        _put(result, head, keys, value)
    return result


def _put(holder: dict[str, Any], name: str, keys: list[str], value: object) -> None:
    if not keys:
        holder[name] = value
    elif keys[0] == "":
        items = holder.setdefault(name, [])
        if not isinstance(items, list):
            raise Refused(400, {"error": f"{name} is invalid"})
        if len(keys) == 1:
            items.append(value)
            return
        # `actions[][path]=x`: a key that is there already starts the next element.
        if not items or not isinstance(items[-1], dict) or keys[1] in items[-1]:
            items.append({})
        _put(items[-1], keys[1], keys[2:], value)
    else:
        inner = holder.setdefault(name, {})
        if not isinstance(inner, dict):
            raise Refused(400, {"error": f"{name} is invalid"})
        _put(inner, keys[0], keys[1:], value)


def decode(query: str, content_type: str, body: bytes) -> dict[str, Any]:
    """Everything a request says, the body winning over the query."""
    try:
        _check(unquote(query))
        params = nest(parse_qsl(query, keep_blank_values=True, max_num_fields=1000))
        kind = content_type.partition(";")[0].strip().lower()
        if not body:
            return params
        if kind == "application/json":
            sent = json.loads(body)
            if not isinstance(sent, dict):
                raise Refused(400, {"error": "The request body must be a JSON object"})
            _check(sent)
            return params | sent
        if kind == "application/x-www-form-urlencoded":
            text = body.decode()
            _check(unquote(text))
            return params | nest(parse_qsl(text, keep_blank_values=True, max_num_fields=10_000))
        if kind == "multipart/form-data":
            pairs = _multipart(content_type, body)
            _check(dict(pairs))
            return params | nest(pairs)
    except (ValueError, RecursionError) as error:
        raise Refused(400, {"error": "There was a problem in the JSON or form you submitted"}) from error
    raise Refused(415, {"error": "The provided content-type is not supported."})


def _check(value: object) -> None:
    """Refuse texts that neither the database nor git can keep: null bytes and halves of characters."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("null byte")
        value.encode()
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key)
            _check(item)
    elif isinstance(value, list):
        for item in value:
            _check(item)


def _multipart(content_type: str, body: bytes) -> list[tuple[str, Any]]:
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body, policy=HTTP)
    pairs: list[tuple[str, Any]] = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            pairs.append((name, content.decode("utf-8", "replace")))
    return pairs


class Params:
    """Parameters by name, each read as the type its endpoint documents; a wrong one is a 400."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, (dict, list)):
            raise Refused(400, {"error": f"{name} is invalid"})
        return value if isinstance(value, str) else json.dumps(value)

    def required(self, name: str) -> str:
        """A text that must be sent and must not be empty."""
        if name not in self.values:
            raise Refused(400, {"error": f"{name} is missing"})
        if not (value := self.text(name)):
            raise Refused(400, {"error": f"{name} is empty"})
        return value

    def integer(self, name: str, default: int | None = None) -> int | None:
        value = self.values.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,18}", str(value)):
            raise Refused(400, {"error": f"{name} is invalid"})
        return int(value)

    def flag(self, name: str, default: bool | None = None) -> bool | None:
        value = self.values.get(name)
        if value is None or value == "":
            return default
        if str(value).lower() in TRUE:
            return True
        if str(value).lower() in FALSE:
            return False
        raise Refused(400, {"error": f"{name} is invalid"})

    def choice(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        value = self.text(name, default)
        if value != default and value not in allowed:
            raise Refused(400, {"error": f"{name} does not have a valid value"})
        return value

    def texts(self, name: str) -> list[str]:
        """A list, or one text with commas."""
        value = self.values.get(name)
        if value is None:
            return []
        items = value if isinstance(value, list) else str(value).split(",")
        return [str(item).strip() for item in items if str(item).strip()]

    def integers(self, name: str) -> list[int]:
        items = self.texts(name)
        if any(not re.fullmatch(r"\d{1,18}", item) for item in items):
            raise Refused(400, {"error": f"{name} is invalid"})
        return [int(item) for item in items if item != "0"]

    def table(self, name: str) -> dict[str, Any] | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, dict):
            raise Refused(400, {"error": f"{name} is invalid"})
        return value

    def tables(self, name: str) -> list[dict[str, Any]]:
        value = self.values.get(name)
        items = list(value.values()) if isinstance(value, dict) else value
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise Refused(400, {"error": f"{name} is {'missing' if value is None else 'invalid'}"})
        return items
