"""Which nodes of a grammar define a name, as queries of tree-sitter: ``@definition`` with ``@name``, and ``@word``.

Most grammars call the name of what is defined ``name``; those nodes are listed. The rest is written out.
"""

from typing import Final

_JAVASCRIPT: Final = (
    "class_declaration function_declaration generator_function_declaration method_definition",
    "identifier property_identifier shorthand_property_identifier",
    """
    (variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression) (class)]) @definition
    (program (lexical_declaration (variable_declarator name: (identifier) @name) @definition))
    (program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name) @definition)))
    """,
)
_TYPESCRIPT: Final = (
    f"{_JAVASCRIPT[0]} abstract_class_declaration interface_declaration type_alias_declaration enum_declaration"
    " function_signature internal_module method_signature",
    f"{_JAVASCRIPT[1]} type_identifier",
    _JAVASCRIPT[2],
)
_C: Final = """
    (struct_specifier name: (_) @name body: (_)) @definition
    (union_specifier name: (_) @name body: (_)) @definition
    (enum_specifier name: (_) @name body: (_)) @definition
    (type_definition declarator: (type_identifier) @name) @definition
    (function_declarator declarator: (identifier) @name) @definition
    """
_CPP: Final = """
    (class_specifier name: (_) @name body: (_)) @definition
    (function_declarator declarator: (field_identifier) @name) @definition
    (function_declarator declarator: (qualified_identifier name: (_) @name)) @definition
    """

_LANGUAGES: Final[dict[str, tuple[str, str, str]]] = {
    "python": (
        "class_definition function_definition",
        "identifier",
        "(module (expression_statement (assignment left: (identifier) @name) @definition))",
    ),
    "javascript": _JAVASCRIPT,
    "typescript": _TYPESCRIPT,
    "tsx": _TYPESCRIPT,
    "go": (
        "function_declaration method_declaration type_spec type_alias",
        "identifier type_identifier field_identifier",
        """
        (source_file (const_declaration (const_spec name: (_) @name) @definition))
        (source_file (var_declaration (var_spec name: (_) @name) @definition))
        """,
    ),
    "rust": (
        "struct_item enum_item union_item trait_item function_item function_signature_item macro_definition type_item"
        " const_item static_item",
        "identifier type_identifier field_identifier",
        "(mod_item name: (_) @name body: (_)) @definition",
    ),
    "java": (
        "class_declaration interface_declaration enum_declaration record_declaration annotation_type_declaration"
        " method_declaration constructor_declaration",
        "identifier type_identifier",
        "",
    ),
    "ruby": (
        "class module method singleton_method",
        "identifier constant",
        "(assignment left: (constant) @name) @definition",
    ),
    "php": (
        "class_declaration interface_declaration trait_declaration enum_declaration function_definition"
        " method_declaration",
        "name",
        "",
    ),
    "c": ("preproc_function_def preproc_def", "identifier type_identifier field_identifier", _C),
    "cpp": (
        "namespace_definition preproc_function_def preproc_def alias_declaration",
        "identifier type_identifier field_identifier namespace_identifier",
        _C + _CPP,
    ),
    "c_sharp": (
        "class_declaration interface_declaration struct_declaration enum_declaration record_declaration"
        " delegate_declaration method_declaration property_declaration",
        "identifier",
        "",
    ),
    "kotlin": (
        "class_declaration object_declaration function_declaration",
        "identifier",
        "(type_alias type: (identifier) @name) @definition",
    ),
    "bash": ("function_definition", "word", ""),
}


def _query(nodes: str, words: str, more: str) -> str:
    named = "\n".join(f"({node} name: (_) @name) @definition" for node in nodes.split())
    used = " ".join(f"({word})" for word in words.split())
    return f"{named}\n{more}\n[{used}] @word"


QUERIES: Final = {dialect: _query(*parts) for dialect, parts in _LANGUAGES.items()}
"""By dialect, as ``languages.Language`` names them."""
