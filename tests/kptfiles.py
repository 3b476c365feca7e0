"""The Kptfile of packages that tests make."""


def kptfile_text(
    name: str = "app", more: str = "", *, mutators: str = "", validators: str = "", annotations: str = ""
) -> str:
    """Write a Kptfile.

    Args:
        name: Of the package.
        more: Further lines, after `metadata.name`.
        mutators: A YAML list in flow style.
        validators: A YAML list in flow style.
        annotations: A YAML mapping in flow style.
    """
    text = f"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: {name}\n"
    if annotations:
        text += f"  annotations: {annotations}\n"
    text += more
    if mutators or validators:
        text += "pipeline:\n"
        text += f"  mutators: {mutators}\n" if mutators else ""
        text += f"  validators: {validators}\n" if validators else ""
    return text


def kptfile(
    name: str = "app", more: str = "", *, mutators: str = "", validators: str = "", annotations: str = ""
) -> bytes:
    """Write a Kptfile as `kptfile_text` does; returns its bytes."""
    return kptfile_text(name, more, mutators=mutators, validators=validators, annotations=annotations).encode()
