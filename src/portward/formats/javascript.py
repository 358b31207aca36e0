"""Ports in JavaScript and TypeScript sources: `config.js`, `server.mjs`, `vite.config.ts`, `App.tsx`.

    const port = process.env.PORT || 5000;                         // fallback for PORT
    const { PORT = 5000 } = process.env;                           // fallback for PORT
    const api = import.meta.env.VITE_API_URL ?? 'http://localhost:5000';      // URL, for VITE_API_URL
    const ws = `ws://${host}:5000/socket`;                         // URL whose host is an expression
    export default defineConfig({ server: { port: 5173 } });       // the program's own port
    app.listen(5_000);                                             // the program's own port

A syntax tree tells code from comments, strings and regular expressions, which patterns cannot; it is built only for a
text in which something looks like a port. What the grammar cannot read is passed over, one statement at a time.
tree-sitter counts bytes: it is given a text with a one-byte stand-in for every character that is not ASCII, so that its
bytes are our code points.
"""

from __future__ import annotations

import re

from portward.formats import urls
from portward.formats.text import Lines, without_password
from portward.model import PortSpec, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tree_sitter import Node

_LONGEST_FILE = 1_000_000
_LONGEST_LINE = 20_000  # a longer one is a bundler's
_LONGEST_EXCERPT = 120
_REACH = 32  # how many nodes are looked at, outward from a literal or into what it falls back for
_ANY_PORT = "65535"  # outside a fallback, the end of a range and no port

_PORT_WORD = re.compile(r"(?<![A-Za-z])port|Port|PORT|listen")
_PORT_OF_URL = re.compile(r":[0-9]")
_PORT_NAME = re.compile(r"(?:(?<![A-Za-z])port|Port|(?<![A-Z])PORT)(?:_?[0-9]+)?$")
_ENV_NAME = re.compile(r"(?:\w*_)?env|\w*Env|ENV|environ(?:ment)?")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}(?:_[0-9]{1,9}){0,9}")
_DIGITS = re.compile(r"[1-9][0-9]{0,9}")
_WHOLE_PORT = re.compile(r":[0-9]{4,}$")
_LOCAL_ADDRESS = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\]):[1-9]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")

_LITERALS = ("number", "string", "template_string", "jsx_text")
_WRAPPERS = (
    "parenthesized_expression",
    "as_expression",
    "satisfies_expression",
    "non_null_expression",
    "type_assertion",
    "await_expression",
)
_CONVERSIONS = ("Number", "parseInt", "String", "Number.parseInt")
_DEFAULTING = ("||", "??", "||=", "??=")
_OPERATIONS = ("binary_expression", "augmented_assignment_expression")
_COMPARISONS = ("==", "===", "!=", "!==", "<", "<=", ">", ">=", "in", "instanceof")
_FUNCTIONS = ("arrow_function", "function_expression", "generator_function", "class")
_GIVING = {  # what gives a name a value: the fields of the two
    "assignment_expression": ("left", "right"),
    "assignment_pattern": ("left", "right"),
    "enum_assignment": ("name", "value"),
    "field_definition": ("property", "value"),
    "object_assignment_pattern": ("left", "right"),
    "pair": ("key", "value"),
    "public_field_definition": ("name", "value"),
    "required_parameter": ("pattern", "value"),
    "variable_declarator": ("name", "value"),
}


def read(text: str, path: str) -> list[PortSpec]:
    """The ports that a source writes, in the order of the text; none in a bundle or a file over 1 MB.

    Raises ImportError where tree-sitter is not installed and the text is worth parsing.
    """
    text = text.removeprefix("\ufeff")
    if not _worth_parsing(text):
        return []
    source = _NOT_ASCII.sub(_stand_in, text)
    reader = _Reader(text, path)
    found = [spec for literal, ancestors in _literals(_tree(source, path)) for spec in reader.ports(literal, ancestors)]
    return sorted(found, key=lambda spec: spec.span.start)


def _worth_parsing(text: str) -> bool:
    if len(text) > _LONGEST_FILE or any(len(line) > _LONGEST_LINE for line in text.split("\n")):
        return False
    if _PORT_WORD.search(text) or _LOCAL_ADDRESS.search(text):
        return True
    return "://" in text and _PORT_OF_URL.search(text) is not None


def _stand_in(match: re.Match[str]) -> str:
    """One byte for one code point that is not ASCII: a blank for white space, a letter for anything else."""
    return " " if match.group().isspace() or match.group() == "\ufeff" else "x"


def _tree(source: str, path: str) -> Node:
    import tree_sitter

    suffix = path.lower().rpartition(".")[2]
    if suffix in ("ts", "mts", "cts", "tsx"):
        import tree_sitter_typescript

        grammar = tree_sitter_typescript.language_tsx if suffix == "tsx" else tree_sitter_typescript.language_typescript
    else:
        import tree_sitter_javascript

        grammar = tree_sitter_javascript.language
    return tree_sitter.Parser(tree_sitter.Language(grammar())).parse(source.encode()).root_node


def _literals(root: Node) -> Iterator[tuple[Node, list[Node]]]:
    """Each number, string, template and JSX text in a statement without errors, with its ancestors, the root first.

    The list of ancestors is the walk's own: it changes with the next step.
    """
    cursor = root.walk()
    ancestors: list[Node] = []
    broken = [False]  # of the innermost statement around, for each depth
    while True:
        node = cursor.node or root  # it always has one, which its type does not tell
        faulty = node.has_error if node.type.endswith(("_statement", "_declaration")) else broken[-1]
        if node.type in _LITERALS and not faulty:
            yield node, ancestors
        if not node.is_error and cursor.goto_first_child():
            ancestors.append(node)
            broken.append(faulty)
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            ancestors.pop()
            broken.pop()


class _Use(Record):
    """What a literal is there for.

    `value` is the expression that it may decide, `whole` that expression or the definition it stands in. `variables`
    are what it falls back for; `is_port` tells whether any name on the way says that this is a port.
    """

    value: Node
    whole: Node
    variables: tuple[str, ...]
    is_port: bool


class _Reader:
    """Reads the ports off the literals of one text."""

    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.lines = Lines(path, text)

    def ports(self, literal: Node, ancestors: Sequence[Node]) -> Iterator[PortSpec]:
        """The ports that a literal writes: its own number, or those of the URLs in it."""
        span = self._number(literal)
        if span is not None:
            spec = self._number_port(span, self._use(literal, ancestors))
            if spec is not None:
                yield spec
            return
        for url, host in self._url_ports(literal):
            if int(url.port) == 0:
                continue
            use = self._use(literal, ancestors)
            side = Side.HOST if host is None else urls.side(host)
            yield self._spec(Role.URL, url.span, use.value, side=side, host=host, variables=use.variables)

    def _number_port(self, span: Span, use: _Use) -> PortSpec | None:
        if use.variables and (use.is_port or any(_is_port_name(name) for name in use.variables)):
            return self._spec(Role.FALLBACK, span, use.whole, variables=use.variables)
        if use.is_port and not use.variables and self.text[span.start : span.end] != _ANY_PORT:
            return self._spec(Role.HOST, span, use.whole)
        return None

    def _spec(
        self,
        role: Role,
        span: Span,
        around: Node,
        *,
        side: Side = Side.HOST,
        host: str | None = None,
        variables: tuple[str, ...] = (),
    ) -> PortSpec:
        return PortSpec(
            origin="javascript",
            role=role,
            side=side,
            location=self.lines.at(span.start),
            span=span,
            text=without_password(self._excerpt(around, span)),
            published=str(int(self.text[span.start : span.end])),
            variables=variables,
            host=host,
        )

    def _excerpt(self, around: Node, span: Span) -> str:
        """The source of a node on one line, cut to the port's own line or less where the node is long."""
        start = max(around.start_byte, span.start - 4 * _LONGEST_EXCERPT)
        if len(_one_line(self.text[start : span.end])) > _LONGEST_EXCERPT:
            start = max(start, self.text.rfind("\n", start, span.start) + 1, span.end - _LONGEST_EXCERPT)
        end = min(around.end_byte, span.end + 4 * _LONGEST_EXCERPT)
        return _one_line(self.text[start:end])[:_LONGEST_EXCERPT]

    # What a literal writes

    def _number(self, literal: Node) -> Span | None:
        """The digits of a decimal number, or of a string that holds nothing else."""
        start, end = literal.start_byte, literal.end_byte
        if literal.type == "number":
            return Span(start, end) if _NUMBER.fullmatch(self.text, start, end) else None
        if literal.type in ("string", "template_string") and _DIGITS.fullmatch(self.text, start + 1, end - 1):
            return Span(start + 1, end - 1)
        return None

    def _url_ports(self, literal: Node) -> Iterator[tuple[urls.UrlPort, str | None]]:
        """The URLs in a string that write a port, each with its host, which is None where it is an expression."""
        text = self.text[literal.start_byte : literal.end_byte]
        if literal.type == "string":
            yield from ((url, url.host) for url in urls.of_this_machine(text[1:-1], literal.start_byte + 1))
        if "://" not in text or not _PORT_OF_URL.search(text):
            return
        expressions: list[Span] = []
        if literal.type == "template_string":
            expressions = _expressions(literal)
            text = _mask(text, literal.start_byte, expressions)
        for url in urls.find(text, literal.start_byte):
            end = url.span.start - 1
            start = end - len(url.host)
            is_expression = any(part.start < end and start < part.end for part in expressions)
            yield url, None if is_expression else url.host

    # What a literal is there for

    def _use(self, literal: Node, ancestors: Sequence[Node]) -> _Use:
        node = value = literal
        variables: list[str] = []
        is_port = False
        near = ancestors[-_REACH:]
        for depth in range(len(near) - 1, -1, -1):
            parent = near[depth]
            other = self._other(parent, node)
            if other is not None:
                variables[:0] = self._variables(other)
                is_port = is_port or _is_port_name(self._name(other))
            elif not self._passes(parent, node):
                return self._given(value, near[: depth + 1], node, variables, is_port)
            node = parent
            if parent.type != "arguments":
                value = parent
        return _Use(value, value, _distinct(variables), is_port)

    def _other(self, parent: Node, node: Node) -> Node | None:
        """What a node is taken instead of: the left of `||`, the other branch of `?:`."""
        if parent.type in _OPERATIONS and self._operator(parent) in _DEFAULTING:
            return _field(parent, "left") if _field(parent, "right") == node else None
        if parent.type == "ternary_expression":
            branches = _field(parent, "consequence"), _field(parent, "alternative")
            if node in branches:
                return branches[0] if node == branches[1] else branches[1]
        return None

    def _passes(self, parent: Node, node: Node) -> bool:
        """Whether a parent's value is the node's, save its type: `(N)`, `+N`, `N as number`, `Number(N)`, `x && N`."""
        if parent.type == "unary_expression":
            return self._operator(parent) == "+"
        if parent.type == "binary_expression":
            return self._operator(parent) == "&&" and _field(parent, "right") == node
        if parent.type == "arguments":
            return _first(parent) == node
        if parent.type == "call_expression":
            return node.type == "arguments" and self._source(_field(parent, "function")) in _CONVERSIONS
        return parent.type in _WRAPPERS

    def _given(self, value: Node, chain: Sequence[Node], node: Node, variables: Sequence[str], is_port: bool) -> _Use:
        """The use of a value that the last of the chain gives to a name or to `listen`, or passes over."""
        holder = chain[-1]
        gives_port = self._gives_port(holder, node)
        destructured = self._destructured(chain, node)
        if destructured is not None:
            name, definition = destructured
            return _Use(value, definition, _distinct([*variables, name]), is_port or gives_port)
        whole = holder if gives_port and not variables and not is_port else value
        return _Use(value, whole, _distinct(variables), is_port or gives_port)

    def _gives_port(self, holder: Node, node: Node) -> bool:
        if holder.type == "call_expression":
            function = _field(holder, "function")
            return node.type == "arguments" and self._name(function) == "listen" and _is_member(function)
        if holder.type not in _GIVING:
            return False
        target, value = _GIVING[holder.type]
        return _field(holder, value) == node and _is_port_name(self._name(_field(holder, target)))

    def _destructured(self, chain: Sequence[Node], node: Node) -> tuple[str, Node] | None:
        """The variable and the definition of a default in `{ NAME = N } = process.env` or `{ NAME: port = N } = …`."""
        holder, around = chain[-1], list(chain[:-1])
        if holder.type == "object_assignment_pattern":
            target = _field(holder, "left")
        elif holder.type == "assignment_pattern" and around and around[-1].type == "pair_pattern":
            target = _field(around.pop(), "key")
        else:
            return None
        name = self._name(target)
        if not name or _field(holder, "right") != node or len(around) < 2:
            return None
        definition, pattern = around[-2:]
        if pattern.type != "object_pattern" or definition.type not in ("variable_declarator", "assignment_expression"):
            return None
        source = _field(definition, _GIVING[definition.type][1])
        return (name, definition) if self._is_environment(source) else None

    def _variables(self, node: Node) -> list[str]:
        """The environment variables that an expression may be the value of, in the order of the text."""
        found: list[str] = []
        pending = [node]
        for _ in range(_REACH):
            if not pending:
                break
            part = pending.pop()
            name = self._variable(part)
            if name:
                found.append(name)
            else:
                pending.extend(reversed(self._operands(part)))
        return found

    def _operands(self, node: Node) -> Sequence[Node]:
        """The parts that a node's value may come from: not those that are only compared, tested or called later."""
        operator = self._operator(node) if node.type == "binary_expression" else None
        if node.type in _FUNCTIONS or operator in _COMPARISONS:
            return ()
        return node.named_children[1:] if node.type == "ternary_expression" or operator == "&&" else node.named_children

    def _variable(self, node: Node) -> str | None:
        """NAME for `process.env.NAME`, `process.env['NAME']` and `Deno.env.get('NAME')`."""
        if node.type in ("member_expression", "subscript_expression"):
            owner, name = _field(node, "object"), self._name(node)
        elif node.type == "call_expression":
            function, arguments = _field(node, "function"), _field(node, "arguments")
            if function is None or arguments is None or self._name(function) != "get":
                return None
            owner, name = _field(function, "object"), self._name(_first(arguments), literal=True)
        else:
            return None
        if not name or not self._is_environment(owner):
            return None
        return name if _is_member(owner) or name.isupper() else None

    def _is_environment(self, node: Node | None) -> bool:
        """Whether a node is `process.env`, `import.meta.env`, `Bun.env`, or has such a name: `env`, `viteEnv`."""
        while node is not None and node.type in _WRAPPERS:
            node = _first(node)
        return _ENV_NAME.fullmatch(self._name(node) or "") is not None

    def _name(self, node: Node | None, *, literal: bool = False) -> str | None:
        """The name of a target, key or property: `port` for `port`, `'port'`, `this.port` and `config['port']`."""
        while node is not None:
            if node.type == "string":
                return self.text[node.start_byte + 1 : node.end_byte - 1]
            if literal:
                return None
            if node.type.endswith("identifier") or node.type == "shorthand_property_identifier_pattern":
                return self._source(node)
            if node.type == "member_expression":
                node = _field(node, "property")
            elif node.type == "subscript_expression":
                node, literal = _field(node, "index"), True
            elif node.type == "computed_property_name":
                node, literal = _first(node), True
            else:
                return None
        return None

    def _operator(self, node: Node) -> str:
        return self._source(_field(node, "operator"))

    def _source(self, node: Node | None) -> str:
        return "" if node is None else self.text[node.start_byte : node.end_byte]


def _expressions(template: Node) -> list[Span]:
    """The `${…}` of a template."""
    return [
        Span(part.start_byte, part.end_byte) for part in template.named_children if part.type == "template_substitution"
    ]


def _mask(text: str, offset: int, expressions: Sequence[Span]) -> str:
    """A template's text with its expressions made letters, or made the path of a URL where they follow a whole port."""
    pieces: list[str] = []
    end = 0
    for part in expressions:
        before = text[end : part.start - offset]
        ends_url = _WHOLE_PORT.search(before[-12:]) is not None
        pieces += before, ("/" if ends_url else "a") * (part.end - part.start)
        end = part.end - offset
    return "".join((*pieces, text[end:]))


def _is_port_name(name: str | None) -> bool:
    """Whether a name ends in the word port: `port`, `apiPort`, `API_PORT`, `PORT_2`, but not `transport`."""
    return name is not None and _PORT_NAME.search(name) is not None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _is_member(node: Node | None) -> bool:
    return node is not None and node.type in ("member_expression", "subscript_expression")


def _field(node: Node | None, name: str) -> Node | None:
    return None if node is None else node.child_by_field_name(name)


def _first(node: Node) -> Node | None:
    """The first part that is not a comment, of the first few."""
    parts = (node.named_child(index) for index in range(min(node.named_child_count, 4)))
    return next((part for part in parts if part.type != "comment"), None)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
