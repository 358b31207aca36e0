"""The syntax tree of a Python source, asked what a literal in it is there for.

Source: the `ast` module. Its columns count bytes of UTF-8; here they become code points.
"""

from __future__ import annotations

import ast
import re
import warnings

from portward.errors import InvalidFile
from portward.formats.dotenv import is_port_name
from portward.formats.text import Lines
from portward.model import Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Location

    _Passed = tuple[list[str], list[str]]  # variables and names

_REACH = 24  # how many nodes are looked at, outward from a literal or into what it falls back for
_FEW, _MANY = 8, 100  # how many arguments of a call are looked at, and how many keywords
_NEWLINE = re.compile(r"\r\n|\r|\n")
_ENVIRONMENT = re.compile(r"(?:\w+\.)*environ|(?:\w+\.)?_?env")
_GETTER = re.compile(
    r"(?:os\.)?getenv|(?:\w+\.)*environ(?:\.(?:get|setdefault|pop))?|(?:\w+\.)?_?env(?:\.\w+)?|(?:decouple\.)?config"
)
_LOOKUPS = ("get", "setdefault", "pop", "getattr")
_CONVERSIONS = ("int", "str")
_FIELDS = ("Field", "field", "ib", "attrib", "Option", "Argument", "Parameter")
_OPTIONS = ("add_argument", "add_option", "argument", "option")
_VARIABLE_KEYWORDS = ("env", "envvar", "env_var")


class Use(Record):
    """What a literal is there for.

    `value` is the outermost expression that it may decide, `holder` what that is given to: an assignment, a parameter, a keyword
    of a call, a dictionary. `variables` are what it falls back for, `defines` the variable of the environment that is set to it.
    `names` are those on the way that say what it is.
    """

    value: ast.AST
    holder: ast.AST | None
    variables: tuple[str, ...]
    defines: str | None
    names: tuple[str, ...]

    @property
    def is_port(self) -> bool:
        """Whether any name on the way, or the variable, says that this is a port."""
        return any(is_port_name(name) for name in (*self.names, *self.variables, self.defines or ""))


def parse(text: str, path: str) -> Tree:
    """Reads a source. Raises InvalidFile, with the place where there is one, for what this Python's grammar refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of `"\d"` and `1is`: not our code
            return Tree(text, ast.parse(text))
    except SyntaxError as error:
        place = _place(error, text, path)
        message = f"not Python as this one reads it: {error.msg}"
        raise InvalidFile(message, path=path, line=place.line, column=place.column) from None
    except (MemoryError, RecursionError, ValueError):  # ValueError: a null character, an integer of thousands of digits
        raise InvalidFile("nested too deeply, or not a text", path=path, line=1, column=1) from None


def _place(error: SyntaxError, text: str, path: str) -> Location:
    """Where Python gave up: it counts lone carriage returns as lines, and may point behind the end."""
    starts = [0, *(match.end() for match in _NEWLINE.finditer(text))]
    start = starts[min(error.lineno or 1, len(starts)) - 1]
    return Lines(path, text).at(min(start + max(0, (error.offset or 1) - 1), len(text)))


class Tree:
    """A source's tree, with the way up from every node."""

    def __init__(self, text: str, root: ast.Module) -> None:
        self.text = text
        self.root = root
        self._starts = [0, *(match.end() for match in _NEWLINE.finditer(text))]
        self._is_ascii = text.isascii()
        self._places: dict[ast.AST, tuple[ast.AST, str, int]] = {}
        self._prefixes: dict[ast.ClassDef, str] = {}
        self._walk(root)

    def _walk(self, root: ast.AST) -> None:
        pending = [root]
        while pending:
            node = pending.pop()
            for field in node._fields:
                value = getattr(node, field, None)
                if isinstance(value, ast.AST) and field != "ctx":
                    self._places[value] = node, field, 0
                    pending.append(value)
                elif isinstance(value, list):
                    for index, child in enumerate(value):
                        if isinstance(child, ast.AST):
                            self._places[child] = node, field, index
                            pending.append(child)

    def place(self, node: ast.AST) -> tuple[ast.AST | None, str, int]:
        """The node around, which of its fields this one is in, and where in that. None for the module."""
        return self._places.get(node, (None, "", 0))

    def literals(self) -> Iterator[ast.Constant | ast.JoinedStr]:
        """Every number and string, but those that stand alone, which document."""
        for node, (around, _, _) in self._places.items():
            is_part = isinstance(around, ast.Expr | ast.JoinedStr | ast.FormattedValue)
            if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and not is_part):
                yield node

    def span(self, node: ast.expr) -> Span:
        """Where a node is written."""
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return Span(self._offset(node.lineno, node.col_offset), self._offset(end_line, end_column))

    def _offset(self, line: int, column: int) -> int:
        start = self._starts[line - 1]
        if self._is_ascii:
            return start + column
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        return start + len(self.text[start:end].encode()[:column].decode(errors="replace"))

    # What a literal is there for

    def use(self, literal: ast.expr) -> Use:
        """Follows a literal outward through all that its value passes."""
        node: ast.AST = literal
        variables: list[str] = []
        names: list[str] = []
        for _ in range(_REACH):
            parent, field, index = self.place(node)
            passed = self._passed(parent, field, index, node)
            if parent is None or passed is None:
                break
            variables[:0], more = passed
            names += more
            node = self._value_of(parent)
        holder, field, index = self.place(node)
        target = _target(holder, field, index)
        names += [target] if target else []
        defines = target if target and isinstance(holder, ast.Assign) and _sets_environment(holder) else None
        setting = self._setting(holder, target, node)
        variables += [setting] if setting and not variables else []
        return Use(node, holder, tuple(dict.fromkeys(variables)), defines, tuple(names))

    def _value_of(self, parent: ast.AST) -> ast.AST:
        """The call of a keyword that is passed through, else the parent itself."""
        around, _, _ = self.place(parent)
        return around if isinstance(parent, ast.keyword) and around is not None else parent

    def _passed(self, parent: ast.AST | None, field: str, index: int, node: ast.AST) -> _Passed | None:
        """What the value takes with it to its parent. None where it does not get there."""
        match parent:
            case ast.Call() if field == "args":
                return _through_call(parent, index, "")
            case ast.keyword(arg=str(name)):
                call, _, _ = self.place(parent)
                return _through_call(call, -1, name) if isinstance(call, ast.Call) else None
            case ast.BoolOp(op=ast.Or(), values=values) if index:
                return _of_others(values[max(0, index - _REACH) : index])
            case ast.IfExp() if field != "test":
                return _of_others([parent.body if field == "orelse" else parent.orelse])
            case ast.List() | ast.Tuple() if not _is_number(node):
                return [], []
            case ast.BinOp(op=ast.Add()) if not isinstance(node, ast.Constant):
                return [], []
        return None

    # Settings classes of pydantic

    def _setting(self, holder: ast.AST | None, name: str | None, value: ast.AST) -> str | None:
        """The variable that a field of `BaseSettings` is read from: names are compared without case, so it is told in capitals."""
        owner = self.place(holder)[0] if isinstance(holder, ast.AnnAssign | ast.Assign) else None
        if name is None or not isinstance(owner, ast.ClassDef):
            return None
        if not any(dotted(base).rpartition(".")[2] == "BaseSettings" for base in owner.bases):
            return None
        if isinstance(value, ast.Call):
            for keyword in value.keywords[:_MANY]:
                if keyword.arg in ("alias", "validation_alias") and (alias := text_of(keyword.value)):
                    return alias
        if owner not in self._prefixes:
            self._prefixes[owner] = _prefix(owner)
        return f"{self._prefixes[owner]}{name}".upper()


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and not isinstance(node.value, str)


def dotted(node: ast.AST | None) -> str:
    """`os.environ.get` for the expression of that form; of another one, as much as has names."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < _REACH:
        parts.append(node.attr)
        node = node.value
    parts += [node.id] if isinstance(node, ast.Name) else []
    return ".".join(reversed(parts))


def last_name(node: ast.AST | None) -> str:
    """`run` for `app.run` and for `make().run`."""
    return dotted(node).rpartition(".")[2]


def text_of(node: ast.AST | None) -> str | None:
    """The text of a string, or of the string that an expression falls back to."""
    for _ in range(_REACH):
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Call(func=func, args=[_, default]) if _GETTER.fullmatch(dotted(func)):
                node = default
            case ast.Call(func=func, keywords=[ast.keyword(arg="default", value=default)]) if _GETTER.fullmatch(
                dotted(func)
            ):
                node = default
            case ast.BoolOp(op=ast.Or(), values=[*_, last]):
                node = last
            case _:
                return None
    return None


def name_of(node: ast.AST | None) -> str | None:
    """The name of a target, attribute or key: `port` for `port`, `self.port`, `config["port"]` and `"port"`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)) | ast.arg(arg=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return None


def key_of(node: ast.AST | None) -> str | None:
    """The text of a dictionary's key: not the name of a variable that holds one."""
    return name_of(node) if isinstance(node, ast.Constant) else None


def _through_call(call: ast.Call, position: int, keyword: str) -> _Passed | None:
    """What a call's value takes from an argument: the default of a look-up, a field or an option, what is converted."""
    function = dotted(call.func)
    last = function.rpartition(".")[2]
    texts = [text_of(argument) for argument in call.args[:_FEW]]
    if function in _CONVERSIONS:
        return ([], []) if position == 0 else None
    if last in _FIELDS and (position == 0 or keyword == "default"):
        return _told_variables(call), []
    if last in _OPTIONS and keyword == "default":
        return _told_variables(call), [text.lstrip("-").replace("-", "_") for text in texts if text]
    name_at = 1 if last == "getattr" else 0
    name = texts[name_at] if len(texts) > name_at else None
    if not name or not (position == name_at + 1 or keyword == "default"):
        return None
    if _GETTER.fullmatch(function):
        return [name], []
    return ([], [name]) if last in _LOOKUPS else None


def _told_variables(call: ast.Call) -> list[str]:
    return [text for each in call.keywords[:_MANY] if each.arg in _VARIABLE_KEYWORDS and (text := text_of(each.value))]


def _of_others(nodes: list[ast.expr]) -> _Passed:
    """The variables and the names of what a value is taken instead of."""
    variables: list[str] = []
    names: list[str] = []
    pending: list[ast.AST] = list(reversed(nodes))
    for _ in range(_REACH):
        if not pending:
            break
        node = pending.pop()
        variable = _variable(node)
        if variable:
            variables.append(variable)
        elif name := name_of(node) if not isinstance(node, ast.Constant) else None:
            names.append(name)
        pending += reversed(_operands(node))
    return variables, names


def _operands(node: ast.AST) -> list[ast.expr]:
    """The parts that a node's value may come from: not those that are only compared or tested."""
    match node:
        case ast.BoolOp(values=values):
            return values
        case ast.IfExp(body=body, orelse=orelse):
            return [body, orelse]
        case ast.Call(func=func, args=[first, *_]) if dotted(func) in _CONVERSIONS:
            return [first]
        case ast.Call(func=func, args=[_, default]) if _GETTER.fullmatch(dotted(func)):
            return [default]
    return []


def _variable(node: ast.AST) -> str | None:
    """The variable of `os.environ.get("NAME")`, `os.environ["NAME"]`, `env("NAME")`."""
    match node:
        case ast.Call(func=func, args=[first, *_]) if _GETTER.fullmatch(dotted(func)):
            return text_of(first)
        case ast.Subscript(value=value, slice=ast.Constant(value=str(name))) if _ENVIRONMENT.fullmatch(dotted(value)):
            return name
    return None


def _target(holder: ast.AST | None, field: str, index: int) -> str | None:
    """The name that a value is given to by what is around it."""
    match holder:
        case ast.Assign(targets=targets):
            names = [name for target in targets if (name := name_of(target))]
            return next((name for name in names if is_port_name(name)), names[0] if names else None)
        case ast.AnnAssign(target=target) | ast.NamedExpr(target=target):
            return name_of(target)
        case ast.keyword(arg=name):
            return name
        case ast.Dict(keys=keys) if field == "values":
            return key_of(keys[index])
        case ast.arguments():
            return _parameter(holder, field, index)
    return None


def _parameter(arguments: ast.arguments, field: str, index: int) -> str | None:
    """The parameter that a value is the default of."""
    if field == "kw_defaults":
        return arguments.kwonlyargs[index].arg
    if field != "defaults":
        return None
    from_end = len(arguments.defaults) - index  # the last default is that of the last parameter
    others = len(arguments.args)
    return (arguments.args[-from_end] if from_end <= others else arguments.posonlyargs[others - from_end]).arg


def _sets_environment(assignment: ast.Assign) -> bool:
    return any(
        isinstance(target, ast.Subscript) and _ENVIRONMENT.fullmatch(dotted(target.value))
        for target in assignment.targets
    )


def _prefix(settings: ast.ClassDef) -> str:
    """`env_prefix` of a settings class, from `model_config` or the inner `Config`."""
    for node in ast.walk(settings):
        match node:
            case ast.keyword(arg="env_prefix", value=ast.Constant(value=str(prefix))):
                return prefix
            case ast.Assign(targets=[ast.Name(id="env_prefix")], value=ast.Constant(value=str(prefix))):
                return prefix
    return ""
