"""JSON schemas of arguments, in short."""

from agents.tools.registry import JSON


def text(description: str, **more: object) -> JSON:
    return {"type": "string", "description": description, **more}


def an_object(properties: JSON, *optional: str) -> JSON:
    """Return the schema of an object in which everything is required but ``optional``."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def a_list(items: JSON, description: str = "") -> JSON:
    return {"type": "array", "items": items, **({"description": description} if description else {})}
