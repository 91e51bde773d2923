"""What a model wrote as a tool's arguments: read, and held against the tool's schema."""

import json
from collections.abc import Mapping

from mergewright.domain.session import JSON

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_KNOWN = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "minItems", "maxItems",
    "minLength", "maxLength", "minimum", "maximum", "description", "title", "default", "examples", "$schema",
}  # fmt: skip


def parse(text: str) -> dict[str, JSON] | str:
    """Read the arguments of a call, or say what is wrong with them."""
    try:
        value = json.loads(text) if text.strip() else {}
        # A number out of bounds is read as infinity, which JSON cannot hold.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "the arguments hold half of a letter (a lone surrogate)"
    except ValueError as error:
        return f"the arguments are not JSON: {error}"
    except RecursionError:
        return "the arguments are nested too deeply"
    if not isinstance(value, dict):
        return "the arguments are not a JSON object"
    return value


def tidy(value: dict[str, JSON], schema: Mapping[str, JSON]) -> dict[str, JSON]:
    """Leave out optional fields that were given as null, as many models do."""
    required, fields = schema.get("required", ()), schema.get("properties", {})
    return {
        name: _tidy(given, fields.get(name, {}))
        for name, given in value.items()
        if given is not None or name in required or "null" in _types(fields.get(name, {}))
    }


def _tidy(value: JSON, schema: Mapping[str, JSON]) -> JSON:
    if isinstance(value, dict):
        return tidy(value, schema)
    return [_tidy(item, schema.get("items", {})) for item in value] if isinstance(value, list) else value


def complaints(value: JSON, schema: Mapping[str, JSON], *, closed: bool = False) -> list[str]:
    """Say where a value does not fit its schema; nothing when it does.

    With `closed`, a field that the schema does not name is a fault too. A schema that uses more of JSON Schema
    than is read here is handed to a full validator, which is slow to load.
    """
    return list(_check(value, schema, "", closed)) if _simple(schema) else _check_in_full(value, schema)


def _types(schema: Mapping[str, JSON]) -> tuple[str, ...]:
    kind = schema.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _simple(schema: JSON) -> bool:
    if not isinstance(schema, Mapping) or not schema.keys() <= _KNOWN:
        return False
    inner = [*schema.get("properties", {}).values()]
    inner += [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), Mapping)]
    plain_extra = isinstance(schema.get("additionalProperties", True), bool | Mapping)
    return plain_extra and isinstance(schema.get("items", {}), Mapping) and all(_simple(part) for part in inner)


def _check(value: JSON, schema: Mapping[str, JSON], at: str, closed: bool) -> list[str]:
    here = f"`{at}`" if at else "the object"
    kinds = _types(schema)
    if kinds and not any(_is(value, kind) for kind in kinds):
        return [f"{here} must be of type {' or '.join(kinds)}"]
    found: list[str] = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{here} must be one of {', '.join(map(json.dumps, schema['enum']))}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{here} must be {json.dumps(schema['const'])}")
    if isinstance(value, dict):
        found += _check_object(value, schema, at, closed)
    elif isinstance(value, list):
        found += _check_size(len(value), schema, here, ("minItems", "maxItems"), " items")
        for number, item in enumerate(value):
            found += _check(item, schema.get("items", {}), f"{at}[{number}]", closed)
    elif isinstance(value, str):
        found += _check_size(len(value), schema, here, ("minLength", "maxLength"), " characters")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found += _check_size(value, schema, here, ("minimum", "maximum"), "")
    return found


def _check_object(value: dict[str, JSON], schema: Mapping[str, JSON], at: str, closed: bool) -> list[str]:
    fields = schema.get("properties", {})
    extra = schema.get("additionalProperties", not (closed and fields))
    dot = f"{at}." if at else ""
    found = [f"`{dot}{name}` is missing" for name in schema.get("required", ()) if name not in value]
    for name, given in value.items():
        if name in fields:
            found += _check(given, fields[name], f"{dot}{name}", closed)
        elif extra is False:
            found.append(f"`{dot}{name}` is not known here: there is {', '.join(f'`{field}`' for field in fields)}")
        elif isinstance(extra, Mapping):
            found += _check(given, extra, f"{dot}{name}", closed)
    return found


def _check_size(size: float, schema: Mapping[str, JSON], here: str, bounds: tuple[str, str], unit: str) -> list[str]:
    low, high = (schema.get(bound) for bound in bounds)
    found = [f"{here} must be at least {low}{unit}"] if low is not None and size < low else []
    return [*found, f"{here} must be at most {high}{unit}"] if high is not None and size > high else found


def _is(value: JSON, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, ()))


def _check_in_full(value: JSON, schema: Mapping[str, JSON]) -> list[str]:
    from jsonschema.validators import validator_for

    errors = validator_for(dict(schema))(dict(schema)).iter_errors(value)
    return [f"`{error.json_path}`: {error.message}" for error in errors]
