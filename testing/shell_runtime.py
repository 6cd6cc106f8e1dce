"""A custom runtime: a shell script that reads the services file in its init and invocations."""

from pathlib import Path

# It reads the services file at its start if READS_AT_START is set, and in each invocation. An event
# with "exit" ends it. An invocation's response has both documents.
_BOOTSTRAP = r"""#!/bin/bash
host=${AWS_LAMBDA_RUNTIME_API%:*}
port=${AWS_LAMBDA_RUNTIME_API#*:}
at_start=null
[ -n "$READS_AT_START" ] && at_start=$(<"$SERVICES_FILE")
while :; do
  exec 3<>"/dev/tcp/$host/$port"
  printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.0\r\nHost: %s\r\n\r\n' "$host" >&3
  while IFS=$'\r' read -r line _ <&3 && [ -n "$line" ]; do
    case ${line,,} in lambda-runtime-aws-request-id:*) request=${line#*: } ;; esac
  done
  now=$(<"$SERVICES_FILE")
  case $(cat <&3) in *exit*) exit 1 ;; esac
  exec 3>&-
  body="{\"at_start\": $at_start, \"now\": $now}"
  exec 3<>"/dev/tcp/$host/$port"
  path=/2018-06-01/runtime/invocation/$request/response
  printf 'POST %s HTTP/1.0\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s' \
    "$path" "$host" "${#body}" "$body" >&3
  cat <&3 >/dev/null
  exec 3>&-
done
"""


def write_bootstrap(folder: Path) -> Path:
    """Write the runtime's program below *folder*; return its path."""
    bootstrap = folder / "bootstrap"
    bootstrap.write_text(_BOOTSTRAP, encoding="utf-8")
    bootstrap.chmod(0o755)
    return bootstrap
