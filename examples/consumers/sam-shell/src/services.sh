# Reads the services file with sed. The extension writes each member on a line of its own.

# Prints the current ARN of a service; fails where there is none.
service_arn() {
  local arn
  arn=$(sed -n 's/^"'"$1"'": {.*"arn": "\([^"]*\)".*/\1/p' "${SERVICES_FILE:-/tmp/services.json}")
  [ -n "$arn" ] && printf '%s\n' "$arn"
}
