"""Deploys the app to the emulator with `sam build` and `sam deploy`.

After the build, each function's folder is replaced by an archive, and the YAML template by the same
template in JSON. Otherwise every `sam deploy` compresses all folders and parses YAML.
"""

import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.credentials import Credentials

from local import build_cache, processes
from local.emulator import REGION, Emulator
from local.execution_environment import own_arch
from registry_client.signed_http import SignedHttp

STACK = "service-discovery"
_BUILD_WITHIN_S = 600
_DEPLOY_WITHIN_S = 180
_SAM = [str(Path(sys.executable).with_name("sam"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployed app.

    Attributes:
        outputs: The stack's outputs, as AWS would show them.
        registry_url: The address at which the emulator serves the registry's API.
        layer: The folder of the built layer, the content of /opt.
    """

    outputs: dict[str, str]
    registry_url: str
    layer: Path

    def registry(self) -> SignedHttp:
        """Return a client of the registry's API, which sends each request once."""
        return registry_at(self.registry_url)


def registry_at(url: str) -> SignedHttp:
    """Return a client of the API at *url*, with the emulator's credentials."""
    return SignedHttp(
        url, credentials=Credentials("local", "local"), region=REGION, max_attempts=1, proxies={}
    )


def _environment(emulator: Emulator, folder: Path) -> dict[str, str]:
    settings = folder / "sam"
    settings.mkdir(exist_ok=True)
    # Otherwise SAM checks for a newer version of itself.
    (settings / "metadata.json").write_text(f'{{"lastVersionCheck": {time.time()}}}')
    environment = emulator.environment()
    return {
        **environment,
        # `python3.x` and `pip` are those of the tools' virtual environment.
        "PATH": f"{Path(sys.executable).parent}:{environment.get('PATH', '/usr/bin:/bin')}",
        # SAM does not remove its temporary folders.
        "TMPDIR": str(settings),
        "SAM_CLI_TELEMETRY": "0",
        # The emulator makes a stack in a second; SAM would ask every five seconds.
        "SAM_CLI_POLL_DELAY": "0.5",
        "__SAM_CLI_APP_DIR": str(settings),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def python_runtime() -> str:
    """Return the Lambda runtime of this Python, with which the emulator runs functions."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def build(emulator: Emulator, folder: Path, *, layers: str = "") -> Path:
    """Build the app below *folder*, unless it was built before; return the folder of the result.

    Args:
        layers: The architectures to build layers for, separated by blanks; all if empty.

    Raises:
        LocalStackError: `sam build` failed, or the checkout has no symbolic links.
    """
    linked = processes.ROOT / "infra/registry_api/registry_api"
    if not linked.is_dir():
        message = (
            f"{linked} is not a folder: this checkout has no symbolic links, which the functions "
            "are built from. Clone on a file system that has them, with "
            "`git -c core.symlinks=true clone`"
        )
        raise processes.LocalStackError(message)
    built = folder / "build"
    build_cache.copy_or_build(built, layers, lambda: _sam_build(emulator, folder, built, layers))
    return built


def _sam_build(emulator: Emulator, folder: Path, built: Path, layers: str) -> None:
    # SAM caches each function's packages here, and installs them again if the pins have changed.
    kept, infra = build_cache.cache_folder() / "sam", processes.ROOT / "infra"
    kept.mkdir(exist_ok=True)
    try:
        processes.run_to_end(
            [
                *_SAM,
                "build",
                *("--template-file", str(infra / "template.yaml")),
                # Makes the paths relative, so that they are the same in every checkout.
                *("--base-dir", str(infra), "--build-dir", str(kept / "build")),
                # A new cache for each build, since SAM does not know the inputs of the layers.
                *("--cached", "--cache-dir", str(folder / "cache")),
                *("--parameter-overrides", f"PythonRuntime={python_runtime()}"),
            ],
            environment=_environment(emulator, folder) | {"SERVICE_DISCOVERY_LAYERS": layers},
            log=folder / "sam-build.log",
            cwd=kept,
            within_s=_BUILD_WITHIN_S,
        )
        _archive_functions(kept / "build")
        shutil.move(kept / "build", built)
    except BaseException:
        # The packages may be incomplete.
        shutil.rmtree(kept, ignore_errors=True)
        raise


def _archive_functions(built: Path) -> None:
    """Replace each function's folder by an archive, and the YAML template by one in JSON."""
    from samcli.yamlhelper import yaml_parse  # noqa: PLC0415  # SAM is large; only builds need it

    template = built / "template.yaml"
    parsed = yaml_parse(template.read_text(encoding="utf-8"))
    for resource in parsed["Resources"].values():
        code = resource["Properties"].get("CodeUri")
        if code is not None:
            shutil.make_archive(str(built / code), "zip", built / code)
            shutil.rmtree(built / code)
            resource["Properties"]["CodeUri"] = f"{code}.zip"
    template.write_text(json.dumps(parsed, indent=1), encoding="utf-8")


def deploy_template(
    emulator: Emulator,
    folder: Path,
    template: Path,
    *,
    stack: str,
    parameters: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Deploy a template as a stack of its own, and return the stack's outputs.

    Args:
        parameters: The template's parameters, without those that keep their default.

    Raises:
        LocalStackError: `sam deploy` failed.
    """
    given = {"PythonRuntime": python_runtime(), **(parameters or {})}
    processes.run_to_end(
        [
            *_SAM,
            "deploy",
            *("--template-file", str(template)),
            *("--stack-name", stack, "--region", REGION, "--resolve-s3"),
            *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"),
            "--parameter-overrides",
            *(f'{name}="{value}"' for name, value in given.items()),
            "--no-confirm-changeset",
            "--no-progressbar",
        ],
        environment=_environment(emulator, folder),
        log=folder / f"sam-deploy-{stack}.log",
        cwd=folder,
        within_s=_DEPLOY_WITHIN_S,
    )
    client = emulator.cloudformation()
    (found,) = client.describe_stacks(StackName=stack)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}


def deploy(
    emulator: Emulator, folder: Path, built: Path, parameters: Mapping[str, str] | None = None
) -> Deployment:
    """Deploy the built app, with these parameters of its template.

    Raises:
        LocalStackError: `sam deploy` failed.
    """
    outputs = deploy_template(
        emulator, folder, built / "template.yaml", stack=STACK, parameters=parameters
    )
    host, _, stage = outputs["RegistryUrl"].removeprefix("https://").partition("/")
    api = host.partition(".")[0]
    return Deployment(
        outputs=outputs,
        registry_url=f"{emulator.url}/restapis/{api}/{stage}/_user_request_",
        layer=built / f"ServiceDiscoveryLayer{'Arm64' if own_arch() == 'arm64' else ''}",
    )
