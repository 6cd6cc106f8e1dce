"""The app on the emulator: a plain `sam build` and a plain `sam deploy`."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from local import processes
from local.emulator import REGION, Emulator
from local.execution_environment import own_arch

STACK = "service-discovery"
_BUILD_WITHIN_S = 600
_DEPLOY_WITHIN_S = 180
_SAM = [str(Path(sys.executable).with_name("sam"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployed app.

    Attributes:
        outputs: The stack's outputs, as AWS would show them.
        registry_url: Where the emulator serves the registry's API.
        layer: The built layer: exactly what /opt shall hold.
    """

    outputs: dict[str, str]
    registry_url: str
    layer: Path


def _environment(emulator: Emulator, folder: Path) -> dict[str, str]:
    settings = folder / "sam"
    settings.mkdir(exist_ok=True)
    # SAM asks for the newest version of itself unless it has just done so.
    (settings / "metadata.json").write_text(f'{{"lastVersionCheck": {time.time()}}}')
    environment = emulator.environment()
    return {
        **environment,
        # `python3.x` and `pip` are those of the tools' own environment.
        "PATH": f"{Path(sys.executable).parent}:{environment.get('PATH', '/usr/bin:/bin')}",
        # SAM leaves folders behind where temporary files go.
        "TMPDIR": str(settings),
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(settings),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def python_runtime() -> str:
    """Name the runtime of this very Python: the emulator runs functions on it."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def build(emulator: Emulator, folder: Path, *, layers: str = "") -> Path:
    """Build the app below *folder*; tell where.

    Args:
        layers: The architectures whose layers are wanted, apart by blanks; all of them if empty.

    Raises:
        LocalStackError: `sam build` failed.
    """
    built = folder / "build"
    processes.run_to_end(
        [
            *_SAM,
            "build",
            *("--template-file", str(processes.ROOT / "infra/template.yaml")),
            *("--build-dir", str(built), "--cache-dir", str(folder / "cache")),
            *("--parameter-overrides", f"PythonRuntime={python_runtime()}"),
        ],
        environment=_environment(emulator, folder) | {"SERVICE_DISCOVERY_LAYERS": layers},
        log=folder / "sam-build.log",
        cwd=folder,
        within_s=_BUILD_WITHIN_S,
    )
    return built


def deploy(emulator: Emulator, folder: Path, built: Path) -> Deployment:
    """Deploy the built app.

    Raises:
        LocalStackError: `sam deploy` failed.
    """
    processes.run_to_end(
        [
            *_SAM,
            "deploy",
            *("--template-file", str(built / "template.yaml")),
            *("--stack-name", STACK, "--region", REGION, "--resolve-s3"),
            *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"),
            *("--parameter-overrides", f"PythonRuntime={python_runtime()}"),
            "--no-confirm-changeset",
            "--no-progressbar",
        ],
        environment=_environment(emulator, folder),
        log=folder / "sam-deploy.log",
        cwd=folder,
        within_s=_DEPLOY_WITHIN_S,
    )
    client = emulator.cloudformation()
    (stack,) = client.describe_stacks(StackName=STACK)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    host, _, stage = outputs["RegistryUrl"].removeprefix("https://").partition("/")
    api = host.partition(".")[0]
    return Deployment(
        outputs=outputs,
        registry_url=f"{emulator.url}/restapis/{api}/{stage}/_user_request_",
        layer=built / f"ServiceDiscoveryLayer{'Arm64' if own_arch() == 'arm64' else ''}",
    )
