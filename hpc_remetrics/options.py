"""The definition of an option: its flag, variable, key in the settings file, default and help.

The options of a command are one frozen dataclass. Each field is made by :func:`option`, or by
:func:`table` where the field is a dataclass of options itself:

    @dataclass(frozen=True, kw_only=True)
    class MemoryOptions(Options):
        memory: float = option("--memory", POSITIVE, 1000.0, "memory of each rank", metavar="MB")

Everything that users see of the option is made from that line:

    --memory MB                            `add_flags`
    memory of each rank (default: 1000)    `Option.help_text`
    REMETRICS_MEMORY=500                   `Option.variable`, read by `settings.py`
    memory = 500                           `Option.key`, read by `settings.py`
    MemoryOptions(memory=500.0)            `build`

`scripts/options-pages` writes remetrics.example.toml and docs/options.md from the same definitions.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from .errors import UsageError

PREFIX = "REMETRICS_"
"""What the variables of all options begin with."""

_DEFINITION = "hpc_remetrics option"
"""Where a field's metadata holds its `Option` or `OptionTable`."""

_SHOWN_CHARS = 80
"""Characters of a wrong value that a message repeats."""

_SHARE = re.compile(
    r"\d{1,18}/\d{1,18}|(\d{1,18}(\.\d{0,18})?|\.\d{1,18})(e[-+]?\d{1,2})?", re.IGNORECASE
)
"""`1/256`, `0.01` or `1e-5`, with so few digits that the exact fraction is small."""


@dataclass(frozen=True)
class ValueType:
    """What kind of value an option has, and how it is written.

    :ivar noun: what a right value is, as it ends "memory is 'x', not …".
    :ivar types: the types of Python that such a value has in a TOML file.
    :ivar convert: makes the value of what a user wrote: a string, or a value of `types`. It raises
        ValueError, or a UsageError that says more.
    :ivar hint: an example for messages, or "".
    :ivar choices: all values that there are; empty: they can't be listed.
    :ivar separator: what stands between the items of a list in a variable; None: white space.
    """

    noun: str
    types: tuple[type, ...]
    convert: Callable[[Any], Any]
    hint: str = ""
    choices: tuple[str, ...] = ()
    separator: str | None = None

    @property
    def is_list(self) -> bool:
        """Whether a flag of this type can be repeated."""
        return list in self.types

    @property
    def is_switch(self) -> bool:
        """Whether a flag of this type takes no value."""
        return bool in self.types

    def read(self, where: str, value: Any) -> Any:
        """Return the value that a user wrote at `where`.

        :param where: a flag, a variable, or a file and key.
        :raises UsageError: it is no value of this type.
        """
        try:
            return self.convert(value)
        except UsageError as error:
            raise UsageError(f"{where}: {error.args[0]}", error.hint) from None
        except (ValueError, OverflowError):
            raise self.wrong(where, value) from None

    def read_toml(self, where: str, value: Any) -> Any:
        """Return a value of a TOML file, which has a type already.

        :raises UsageError: it is no value of this type.
        """
        is_right = isinstance(value, self.types) and isinstance(value, bool) == self.is_switch
        if is_right and self.is_list:
            is_right = all(isinstance(item, str) for item in value)
        if not is_right:
            raise self.wrong(where, value)
        return self.read(where, value)

    def read_variable(self, variable: str, string: str) -> Any:
        """Return the value of an environment variable.

        :raises UsageError: it is no value of this type.
        """
        if self.is_list:
            return self.read(variable, [item for item in string.split(self.separator) if item])
        return self.read(variable, string)

    def wrong(self, where: str, value: Any) -> UsageError:
        """Return the error for a value that is not of this type."""
        return UsageError(f"{where} is {shown(value)}, not {self.noun}", self.hint)


def shown(value: Any) -> str:
    """Return a value as a message repeats it: on one line, and not all of a long one.

    >>> shown("x" * 100)[-4:]
    'xxx…'
    """
    try:
        text = repr(value)
    except ValueError:
        # Python prints no integer of more than 4,300 digits.
        return "a number that is too long"
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def path_of(text: str | Path) -> Path:
    """Return a path as a user writes it: `~` is the home directory, if there is one."""
    # Path.expanduser would raise an error where there is no home directory.
    return Path(os.path.expanduser(text))


def _positive(value: Any) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def _not_negative(value: Any) -> float:
    return 0.0 if float(value) == 0 else _positive(value)


def _whole(value: Any) -> int:
    """Read `10`, `1_000`, `1e6`, if it fits into 64 bits."""
    if isinstance(value, str) and not value.strip().lstrip("+-").replace("_", "").isdecimal():
        value = float(value)
    number = int(value)
    is_whole = isinstance(value, str) or number == value
    if not is_whole or abs(number) >= 1 << 63:
        raise ValueError
    return number


def _whole_positive(value: Any) -> int:
    if (number := _whole(value)) < 1:
        raise ValueError
    return number


def _share(value: Any) -> Fraction:
    text = str(value)
    if not _SHARE.fullmatch(text) or text.endswith("/0"):
        raise ValueError
    numerator, slash, denominator = text.partition("/")
    share = Fraction(int(numerator), int(denominator)) if slash else Fraction(text)
    if share > 1:
        raise ValueError
    return share


def _switch(value: Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if value.lower() not in words:
        raise ValueError
    return words[value.lower()]


STRING = ValueType("a string", (str,), str)
PATH = ValueType("a string", (str,), path_of)
POSITIVE = ValueType("a number above 0", (int, float), _positive)
NOT_NEGATIVE = ValueType("a number of 0 or more", (int, float), _not_negative)
INTEGER = ValueType("a whole number", (int,), _whole)
COUNT = ValueType("a whole number above 0", (int, float), _whole_positive)
SHARE = ValueType(
    "a number from 0 to 1", (str, int, float), _share, hint="for example 1/128 or 0.01"
)
SWITCH = ValueType("true or false", (bool,), _switch)


def list_of(item: ValueType, separator: str | None = None) -> ValueType:
    """Return the type of a list, which in TOML is a list of strings.

    :param item: the type of its items.
    :param separator: what stands between the items in a variable; None: white space.
    """

    def convert(values: Iterable[str]) -> tuple[Any, ...]:
        return tuple(read_item(value) for value in values)

    def read_item(value: str) -> Any:
        try:
            return item.convert(value)
        except UsageError:
            raise
        except ValueError:
            raise UsageError(f"{shown(value)} is not {item.noun}", item.hint) from None

    return ValueType(
        "a list of strings", (list,), convert, choices=item.choices, separator=separator
    )


STRINGS = list_of(STRING)
PATHS = list_of(PATH)


def choice_of(*names: str) -> ValueType:
    """Return the type of an option that is one of some words."""

    def read(value: Any) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    return ValueType(f"one of {', '.join(names)}", (str,), read, choices=names)


@dataclass(frozen=True)
class Option:
    """The definition of one option.

    :ivar name: how its value is called, among all options: its key in the settings file with the
        table before it (`registries.rate`), or the field if the file has no key for it.
    :ivar flags: on the command line; none for an argument that stands there by itself.
    :ivar value: the type of its values.
    :ivar default: the value where nobody gives one.
    :ivar help: what it does, without the default.
    :ivar metavar: what stands for the value in the help.
    :ivar is_argument: whether it is an argument without a flag.
    :ivar is_required: whether the command line must have it.
    :ivar is_counted: whether the value is how often the flag stands there.
    :ivar key: its key in the settings file, with the table before it; "": the command line must say
        it.
    :ivar variable: the environment variable; "": there is none.
    :ivar in_any_file: whether a settings file of the current directory may hold it, too.
    :ivar default_text: words for a default that is not a value.
    :ivar example: a value for the example file, as TOML; "": the default.
    """

    name: str
    flags: tuple[str, ...]
    value: ValueType
    default: Any
    help: str
    metavar: str = ""
    is_argument: bool = False
    is_required: bool = False
    is_counted: bool = False
    key: str = ""
    variable: str = ""
    in_any_file: bool = True
    default_text: str = ""
    example: str = ""

    @property
    def where(self) -> str:
        """How messages call it when it comes from the command line."""
        return self.flags[-1] if self.flags else self.metavar or self.name

    @property
    def default_words(self) -> str:
        """The default as the help and the docs say it; "" for what has none."""
        if self.default_text or self.value.is_switch or self.is_counted:
            return self.default_text
        if self.is_argument or self.is_required:
            return ""
        return in_words(self.default)

    @property
    def help_text(self) -> str:
        """The help, with the default."""
        notes = []
        if self.value.is_list and self.flags:
            notes.append("repeat")
        if self.is_required and self.flags:
            notes.append("required")
        if self.default_words:
            notes.append(f"default: {self.default_words}")
        return f"{self.help} ({'; '.join(notes)})" if notes else self.help

    @property
    def toml(self) -> str:
        """A value of it as the example file has it."""
        return self.example or in_toml(self.default)


@dataclass(frozen=True)
class OptionTable:
    """The definition of a field that is a dataclass of options itself.

    :ivar options: that dataclass.
    :ivar key: the table of the settings file; "": that of the dataclass around it.
    :ivar prefix: what its variables begin with; "": as those of the dataclass around it.
    :ivar flag: sets one of its values by NAME=VALUE, if they have no flags of their own; "": none.
    :ivar help: of that flag.
    :ivar noun: what one of its options is called in messages.
    """

    options: type[Any]
    key: str = ""
    prefix: str = ""
    flag: str = ""
    help: str = ""
    noun: str = "setting"

    @property
    def help_text(self) -> str:
        """The help of the flag, with all names and defaults."""
        options = options_of(self.options)
        defaults = ", ".join(f"{one.name}={in_words(one.default)}" for one in options)
        return f"{self.help} (repeat; default: {defaults})"


class Options:
    """What a dataclass of options derives from.

    :cvar TITLE: the heading that its own options have in the help; "": none.
    """

    TITLE: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Check what depends on several options; a class that does more calls this first."""

    @classmethod
    def defaults_for(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return defaults that depend on other options, by name.

        :param values: all values that are given anywhere, by name.
        """
        return {}


OptionsT = TypeVar("OptionsT")


def option(
    *flags: str,
    value: ValueType,
    help: str,
    default: Any = None,
    metavar: str = "",
    key: bool | str = True,
    variable: str = "",
    in_any_file: bool = True,
    is_required: bool = False,
    is_secret: bool = False,
    is_counted: bool = False,
    default_text: str = "",
    example: str = "",
) -> Any:
    """Define an option that has flags; :class:`Option` says what the parameters mean.

    :param is_counted: whether the value is how often the flag stands there.
    :param is_secret: whether `repr` of the dataclass leaves it out.
    :param key: its key in the settings file: True: the name of the field, False: none, since the
        command line must say it.
    """
    definition = Option(
        name=key if isinstance(key, str) else "",
        flags=flags,
        value=value,
        default=default,
        help=help,
        metavar=metavar,
        is_required=is_required,
        is_counted=is_counted,
        key="key" if key else "",
        variable=variable,
        in_any_file=in_any_file,
        default_text=default_text,
        example=example,
    )
    return dataclasses.field(
        default=default, repr=not is_secret, metadata={_DEFINITION: definition}
    )


def argument(
    metavar: str,
    *,
    value: ValueType,
    help: str,
    default: Any = None,
    is_required: bool = True,
    key: bool | str = False,
    default_text: str = "",
    example: str = "",
) -> Any:
    """Define an argument that stands on the command line by itself, such as a source."""
    definition = Option(
        name="",
        flags=(),
        value=value,
        default=default,
        help=help,
        metavar=metavar,
        is_argument=True,
        is_required=is_required,
        key="key" if key else "",
        default_text=default_text,
        example=example,
    )
    return dataclasses.field(default=default, metadata={_DEFINITION: definition})


def table(
    options: type[Any],
    *,
    key: str = "",
    prefix: str = "",
    flag: str = "",
    help: str = "",
    noun: str = "setting",
) -> Any:
    """Define a field that is a dataclass of options; :class:`OptionTable` says the rest."""
    definition = OptionTable(options, key, prefix, flag, help, noun)
    return dataclasses.field(default_factory=options, metadata={_DEFINITION: definition})


def options_of(
    options: type[Any], key: str = "", prefix: str = PREFIX, *, deep: bool = True
) -> list[Option]:
    """Return the options of a dataclass with their full names, those of its tables among them.

    :param key: the table of the settings file that the dataclass is.
    :param prefix: what its variables begin with.
    :param deep: with the options of the dataclasses within it.
    """
    found: list[Option] = []
    for field, definition in _definitions(options):
        if isinstance(definition, OptionTable):
            if deep:
                inner_key = definition.key or key
                inner_prefix = definition.prefix or prefix
                found += options_of(definition.options, inner_key, inner_prefix)
            continue

        # Put the name, the key and the variable together from the table's and the field's.
        short = definition.name or field
        name = f"{key}.{short}" if key else short
        variable = definition.variable
        if definition.key and not variable:
            variable = f"{prefix}{short.upper()}"
        named = dataclasses.replace(
            definition, name=name, key=name if definition.key else "", variable=variable
        )
        found.append(named)
    return found


def tables_of(options: type[Any], key: str = "", prefix: str = PREFIX) -> list[OptionTable]:
    """Return the tables of a dataclass with their full keys, those within tables among them."""
    found = []
    for _, definition in _definitions(options):
        if isinstance(definition, OptionTable):
            named = dataclasses.replace(
                definition, key=definition.key or key, prefix=definition.prefix or prefix
            )
            found += [named, *tables_of(definition.options, named.key, named.prefix)]
    return found


def add_flags(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Add the flags and arguments of a dataclass of options to a parser.

    Those of the class itself come first, then those of the classes that it derives from, in their
    order, each under its title.
    """
    definitions = dict(_definitions(options))
    named = {one.name: one for one in options_of(options, deep=False)}
    for kind in options.__mro__:
        title = vars(kind).get("TITLE", "")
        group: Any = parser.add_argument_group(title) if title else parser
        for field in inspect.get_annotations(kind):
            definition = definitions.pop(field, None)
            if isinstance(definition, OptionTable):
                _add_table(parser, group, definition)
            elif definition is not None:
                _add_flag(group, named[definition.name or field])


def _add_table(parser: argparse.ArgumentParser, group: Any, definition: OptionTable) -> None:
    """Add the flags of a dataclass within another one."""
    if title := getattr(definition.options, "TITLE", ""):
        group = parser.add_argument_group(title)
    for one in options_of(definition.options, definition.key, deep=False):
        if one.flags:
            _add_flag(group, one)
    for _, inner in _definitions(definition.options):
        if isinstance(inner, OptionTable):
            _add_table(parser, group, inner)
    if definition.flag:
        help = definition.help_text.replace("%", "%%")
        group.add_argument(definition.flag, action="append", metavar="NAME=VALUE", help=help)


def _add_flag(group: Any, option: Option) -> None:
    """Add one flag or argument; its parsed value is a string, or None if it is not given."""
    value = option.value
    metavar = option.metavar or (f"{{{','.join(value.choices)}}}" if value.choices else None)
    words: dict[str, Any] = {"help": option.help_text.replace("%", "%%")}

    # An argument has a place, and no flag.
    if option.is_argument:
        if value.is_list:
            words["nargs"] = "+" if option.is_required else "*"
        group.add_argument(option.name, metavar=metavar, **words)
        return

    # A flag is counted, a switch, or has a value.
    words["dest"] = option.name
    if option.is_required:
        words["required"] = True
    if option.is_counted:
        words["action"] = "count"
    elif value.is_switch:
        words["action"] = argparse.BooleanOptionalAction if option.key else "store_true"
        words["default"] = None
    else:
        words["metavar"] = metavar
        words["action"] = "append" if value.is_list else "store"
    group.add_argument(*option.flags, **words)


def flag_values(options: type[Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a command line says, by the names of options.

    :param arguments: as a parser with `add_flags` gives them.
    :raises UsageError: a value is wrong; it names the flag.
    """
    values = {}
    for one in options_of(options):
        written = getattr(arguments, one.name, None)
        if written not in (None, []):
            values[one.name] = one.value.read(one.where, written)
    for inner in tables_of(options):
        if inner.flag:
            pairs = getattr(arguments, inner.flag.lstrip("-").replace("-", "_"), None)
            values |= _pair_values(inner, pairs or [])
    return values


def _pair_values(inner: OptionTable, pairs: Iterable[str]) -> dict[str, Any]:
    """Return the values of `--limit NAME=VALUE` and the like, by the names of options."""
    known = {one.name.rpartition(".")[2]: one for one in options_of(inner.options, inner.key)}
    values = {}
    for pair in pairs:
        short, equals, written = pair.partition("=")
        if not equals:
            example = f"{inner.flag} {next(iter(known))}=1"
            raise UsageError(f"{inner.flag} {pair!r} is not NAME=VALUE", f"for example {example}")
        if short not in known:
            message = f"{inner.flag}: unknown {inner.noun} {short!r}"
            raise UsageError(message, suggestion(short, known))
        values[known[short].name] = known[short].value.read(f"{inner.flag} {short}", written)
    return values


def build(options: type[OptionsT], values: Mapping[str, Any], key: str = "") -> OptionsT:
    """Return a dataclass of options with some values; the others have their defaults.

    :param values: by the names of options; those of other dataclasses are passed over.
    :param key: the table of the settings file that the dataclass is.
    """
    arguments = {}
    for field, definition in _definitions(options):
        if isinstance(definition, OptionTable):
            arguments[field] = build(definition.options, values, definition.key or key)
            continue
        short = definition.name or field
        name = f"{key}.{short}" if key else short
        if name in values:
            arguments[field] = values[name]
    return options(**arguments)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the hint for an unknown name: the one that is probably meant, and all that there are.

    >>> suggestion("memry", ["memory", "output"])
    "did you mean 'memory'? known: memory, output"
    """
    names = list(known)
    # Only a message needs it.
    from difflib import get_close_matches

    near = get_close_matches(name, names, 1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}known: {', '.join(names)}"


def in_words(value: Any) -> str:
    """Return a default as the help says it.

    >>> in_words(1000.0), in_words(Fraction(1, 256)), in_words(("a", "b")), in_words(20_000_000)
    ('1000', '1/256', 'a,b', '20000000')
    """
    if isinstance(value, tuple):
        return ",".join(map(in_words, value)) or "none"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "none" if value in (None, "") else str(value)


def in_toml(value: Any) -> str:
    """Return a default as TOML.

    >>> in_toml("x"), in_toml(Path("x")), in_toml(86_400.0), in_toml(("a",)), in_toml(False)
    ('"x"', '"x"', '86_400.0', '["a"]', 'false')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(in_toml, value))}]"
    if isinstance(value, int | float):
        return f"{value:_}"
    if isinstance(value, Fraction) and value.denominator == 1:
        return str(value)
    return json.dumps(str(value), ensure_ascii=False)


def _definitions(options: type[Any]) -> Iterator[tuple[str, Option | OptionTable]]:
    """Yield the name and definition of each field that is an option or a table of options."""
    for field in fields(options):
        if (definition := field.metadata.get(_DEFINITION)) is not None:
            yield field.name, definition
