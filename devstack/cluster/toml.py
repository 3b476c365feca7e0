import json
from typing import Any


def toml(table: dict[str, Any], path: str = "") -> str:
    """Return nested tables as TOML. JSON's form of strings, numbers, flags and lists is TOML's, too.

    Args:
        table: Values, lists of strings, and tables.
        path: Where the table is, as a TOML header names it; empty for the outermost.
    """
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, dict):
            name = f"{path}{'.' if path else ''}{json.dumps(key)}"
            lines.append(f"[{name}]\n{toml(value, name)}")
    return "".join(lines)
