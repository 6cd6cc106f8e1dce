"""Renders bills of materials in CycloneDX 1.6, without dates and serial numbers.

`contents.py` lists the components of the layer, `release/bill_of_materials.py` those of a function.
"""

import json
from collections.abc import Mapping, Sequence

_OWN = "service-discovery"


def render(
    name: str,
    version: str,
    components: Sequence[Mapping[str, object]],
    details: Mapping[str, object] | None = None,
) -> str:
    """Return the bill of materials of a part of this product with its *components*.

    Args:
        name: The part's name.
        version: This product's version.
        components: Each with its `bom-ref`.
        details: More members of the part's own component.
    """
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": _OWN,
                "name": f"{_OWN}-{name}",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                **(details or {}),
            }
        },
        "components": components,
        "dependencies": [{"ref": _OWN, "dependsOn": [each["bom-ref"] for each in components]}],
    }
    return json.dumps(document, indent=2) + "\n"
