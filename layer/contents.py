"""Writes the layer's files beside the binary: roots of trust, licences, bill of materials."""

import base64
import hashlib
import re
import shutil
import tomllib
from pathlib import Path

import sbom
import sources
from interpreter_build import HERE, BuildError, Interpreter, Toolchain

FOLDER = "service-discovery"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+(.*?)-----END CERTIFICATE-----", re.DOTALL)
# Each helper's path below /opt, and its source. All versions of Lambda's Python and Node.js
# runtimes search these folders of /opt.
_HELPERS = {
    **{
        f"python/service_discovery/{name}": f"python/service_discovery/{name}"
        for name in ("__init__.py", "testing.py", "py.typed")
    },
    **{
        f"nodejs/node_modules/service-discovery/{name}": f"node/{name}"
        for name in ("package.json", "index.js", "index.d.ts", "testing.js", "testing.d.ts")
    },
}
_VERSION_MODULE = "extension/product_version.py"


def product_version() -> str:
    """Return the version of this product."""
    project = tomllib.loads((HERE / "project.toml").read_text(encoding="utf-8"))["project"]
    version: str = project["version"]
    return version


def check_links() -> None:
    """Check that this checkout has its symbolic links.

    Raises:
        BuildError: It has a plain file in place of a link.
    """
    if not (HERE / "extension").is_dir():
        message = (
            f"{HERE / 'extension'} is not a folder: this checkout has no symbolic links, which the "
            "layer and the functions are built from. Clone on a file system that has them, with "
            "`git -c core.symlinks=true clone`"
        )
        raise BuildError(message)


def portable_modules() -> dict[str, bytes]:
    """Return the binary's Python modules by path, from the portable packages of pyproject.toml.

    The module with the product's version is generated.
    """
    project = tomllib.loads((HERE / "project.toml").read_text(encoding="utf-8"))
    settings = project["tool"]["service-discovery"]
    native = {name.replace(".", "/") + ".py" for name in settings["native"]}
    paths = [path for name in settings["portable"] for path in (HERE / name).glob("*.py")]
    modules = {path.relative_to(HERE).as_posix(): path.read_bytes() for path in paths}
    modules[_VERSION_MODULE] = f'VERSION = "{product_version()}"\n'.encode()
    return {name: modules[name] for name in sorted(modules.keys() - native)}


def helper_files() -> dict[str, bytes]:
    """Return the Python and Node.js helpers by path, for the functions' runtimes."""
    return {path: (HERE / "helpers" / source).read_bytes() for path, source in _HELPERS.items()}


def write_layer(
    folder: Path, arch: str, built: Interpreter, tools: Toolchain, modules: dict[str, bytes]
) -> None:
    """Write to *folder* exactly the files of /opt.

    Raises:
        BuildError: A pinned root certificate is not in the pinned bundle.
    """
    program = folder / "extensions" / FOLDER
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(built.binary, program)
    program.chmod(0o755)
    data_folder = folder / FOLDER
    licenses = data_folder / "licenses"
    licenses.mkdir(parents=True, exist_ok=True)
    (data_folder / "roots.der").write_bytes(_roots(tools.packages / "certifi/cacert.pem"))
    (data_folder / "VERSION").write_text(product_version() + "\n")
    helpers = helper_files()
    for name, data in helpers.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (data_folder / "sbom.cdx.json").write_text(_bill_of_materials(arch, {**modules, **helpers}))
    texts = {
        "service-discovery": HERE / "LICENSE",
        "micropython": built.micropython / "LICENSE",
        "mbedtls": built.mbedtls / "LICENSE",
        "musl": tools.packages / "ziglang/lib/libc/musl/COPYRIGHT",
        "compiler-rt": tools.packages / "ziglang/LICENSE",
        "certifi": next(tools.packages.glob("certifi-*.dist-info/licenses/LICENSE")),
    }
    for name, text in texts.items():
        shutil.copyfile(text, licenses / f"{name}.txt")
    for path in folder.rglob("*"):
        if path != program:
            path.chmod(0o755 if path.is_dir() else 0o644)


def _roots(bundle: Path) -> bytes:
    """Return the pinned roots of a bundle of certificates, as DER, one after the other.

    They are decoded here, so that a cold start does not have to decode them.
    """
    found = {}
    for match in _PEM.finditer(bundle.read_text(encoding="utf-8")):
        der = base64.b64decode("".join(match[1].split()))
        found[hashlib.sha256(der).hexdigest()] = der
    pinned = []
    for name, fingerprint in sources.pinned_roots().items():
        if fingerprint not in found:
            message = f"{name} ({fingerprint}) is not in the pinned certifi; see layer/sources.toml"
            raise BuildError(message)
        pinned.append(found[fingerprint])
    return b"".join(pinned)


def _requirement(name: str) -> tuple[str, list[str]]:
    """Return a pinned package's version and hashes."""
    text = (HERE / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.search(rf"^{name}==(\S+)((?:[^\n]*\\\n)*[^\n]*)", text, re.MULTILINE)
    if pinned is None:
        message = f"layer/requirements.txt pins no {name}"
        raise BuildError(message)
    return pinned[1], re.findall(r"sha256:([0-9a-f]{64})", pinned[2])


def _component(name: str, version: str, license_id: str, hashes: list[str]) -> dict[str, object]:
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": f"{name}@{version}",
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": license_id}}],
    }
    if len(hashes) == 1:
        component["hashes"] = [{"alg": "SHA-256", "content": hashes[0]}]
    return component


def _bill_of_materials(arch: str, modules: dict[str, bytes]) -> str:
    """Return the bill of materials of the layer, with every part and every file of this project."""
    parts = sources.pinned_parts()
    certifi, _ = _requirement("certifi")
    zig, _ = _requirement("ziglang")
    components = [
        _component(part.name, part.version, part.license, [f.sha256 for f in part.files])
        for part in parts.values()
    ]
    components += [
        _component("certifi", certifi, "MPL-2.0", []),
        _component("compiler-rt", f"zig-{zig}", "MIT", []),
    ]
    own = [
        {
            "type": "file",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(text).hexdigest()}],
        }
        for name, text in modules.items()
    ]
    return sbom.render(f"layer-{arch}", product_version(), components, {"components": own})
