"""Strict YAML <-> frozen dataclasses: unknown or ill-typed keys are errors that name the nearest valid one."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable
from pathlib import Path

import yaml

from hat.errors import ArtifactError, UsageError

Built = typing.TypeVar("Built")


def read_yaml_mapping(path: Path | str) -> dict[str, typing.Any]:
    """Read a YAML (or JSON) file whose top level is a mapping."""
    try:
        with open(path, encoding="utf-8") as handle:
            mapping = yaml.safe_load(handle)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ArtifactError(f"{path} is a directory; name a YAML file in it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(mapping, dict):
        raise UsageError(f"{path}: expected keys and values at the top level, got {type(mapping).__name__}")
    return mapping


@dataclasses.dataclass(frozen=True)
class Between:
    """The range of a number, ends included save those in `excluded`; a field's type is Annotated[int, Between(1)]."""

    low: float
    high: float = math.inf
    excluded: tuple[float, ...] = ()

    def check(self, value: float, where: str) -> None:
        """Raise UsageError if `value` is outside, infinite or no number."""
        if not (math.isfinite(value) and self.low <= value <= self.high) or value in self.excluded:
            ends = f" ({', '.join(map(str, self.excluded))} excluded)" if self.excluded else ""
            raise UsageError(f"{where}: {value} is not between {self.low} and {self.high}{ends}")


def from_mapping(cls: type[Built], mapping: typing.Any, where: str) -> Built:
    """Build dataclass `cls` from `mapping`; `where` names the file in errors.

    Fields may be int, float, str, bool, Literal, Optional, tuple[T, ...], nested dataclasses, and numbers Annotated
    with their range. Raises UsageError for an unknown, missing or ill-typed key, or a number out of range.
    """
    return _build(cls, mapping, where, ())


def _build(cls: typing.Any, mapping: typing.Any, file: str, keys: tuple[str, ...]) -> typing.Any:
    """`keys` lead from the top of `file` to `mapping`."""
    where = _place(file, keys)
    if not isinstance(mapping, dict):
        raise UsageError(f"{where}: expected keys and values, got {mapping!r}")
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in mapping:
        if key not in fields:
            raise UsageError(f"{where}: unknown key {key!r}{_nearest(key, fields)}")
    values = {}
    for name, field in fields.items():
        if name in mapping:
            values[name] = _convert(hints[name], mapping[name], file, (*keys, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UsageError(f"{where}: key {name!r} is missing")
    try:
        return cls(**values)
    except UsageError as error:  # of keys that don't go together
        raise UsageError(f"{file}: {error}") from None


def _place(file: str, keys: tuple[str, ...]) -> str:
    return f"{file}: {'.'.join(keys)}" if keys else file


def left_out(default: typing.Any) -> typing.Any:
    """A dataclass's field that its mapping leaves out where it has this `default`."""
    return dataclasses.field(default=default, metadata={"left_out": True})


def to_mapping(value: typing.Any) -> typing.Any:
    """Inverse of `from_mapping`: nested dictionaries, lists and scalars."""
    if dataclasses.is_dataclass(value):
        values = {field: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {
            field.name: to_mapping(item)
            for field, item in values.items()
            if not ("left_out" in field.metadata and item == field.default)
        }
    if isinstance(value, tuple):
        return [to_mapping(item) for item in value]
    if isinstance(value, dict):
        return {key: to_mapping(item) for key, item in value.items()}
    return value


def _nearest(key: typing.Any, valid: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(key), valid, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; valid keys: {', '.join(valid)}"


def _convert(hint: typing.Any, value: typing.Any, file: str, keys: tuple[str, ...]) -> typing.Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, file, keys)
    origin, options, where = typing.get_origin(hint), typing.get_args(hint), _place(file, keys)
    if origin is typing.Annotated:
        converted = _convert(options[0], value, file, keys)
        options[1].check(converted, where)
        return converted
    if origin is typing.Literal:
        return _convert_literal(options, value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        inner = [option for option in options if option is not type(None)]
        return _convert(inner[0], value, file, keys)
    if origin is dict:
        if not isinstance(value, dict):
            raise UsageError(f"{where}: expected keys and values, got {value!r}")
        return {str(key): _convert(options[1], item, file, (*keys, str(key))) for key, item in value.items()}
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{where}: expected a list, got {value!r}")
        return tuple(_convert(options[0], item, file, keys) for item in value)
    return _convert_scalar(hint, value, where)


def _convert_literal(options: tuple[typing.Any, ...], value: typing.Any, where: str) -> typing.Any:
    if value not in options:
        raise UsageError(f"{where}: {value!r} is not one of {', '.join(map(str, options))}")
    return value


def _convert_scalar(hint: typing.Any, value: typing.Any, where: str) -> typing.Any:
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-3 as a string
        try:
            value = float(value)
        except ValueError:
            raise UsageError(f"{where}: expected a number, got {value!r}") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise UsageError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value
