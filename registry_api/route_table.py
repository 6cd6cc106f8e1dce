"""The API's routes: `routes.py` serves them, `openapi.py` describes them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEntry:
    """One route.

    Attributes:
        name: The operation's id in the API's description.
        method: The HTTP method.
        path: The path below the API's base address, with parameters in braces.
        is_write: Whether it changes the registry. Such a route has only the query parameters
            `dry_run` and `force`, and accepts `If-Match`.
    """

    name: str
    method: str
    path: str
    is_write: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """The path's parameters, in their order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


_VERSION = "/services/{name}/versions/{version}"
_CHANNEL = "/services/{name}/channels/{channel}"
_CONSUMER = "/consumers/{consumer}"

ROUTES = (
    RouteEntry(name="publish", method="POST", path="/services", is_write=True),
    RouteEntry(name="listServices", method="GET", path="/services"),
    RouteEntry(name="getService", method="GET", path="/services/{name}"),
    RouteEntry(name="listVersions", method="GET", path="/services/{name}/versions"),
    RouteEntry(name="getVersion", method="GET", path=_VERSION),
    RouteEntry(name="publishVersion", method="PUT", path=_VERSION, is_write=True),
    RouteEntry(name="setStatus", method="PATCH", path=_VERSION, is_write=True),
    RouteEntry(name="deleteVersion", method="DELETE", path=_VERSION, is_write=True),
    RouteEntry(name="setChannel", method="PUT", path=_CHANNEL, is_write=True),
    RouteEntry(name="deleteChannel", method="DELETE", path=_CHANNEL, is_write=True),
    RouteEntry(name="resolve", method="GET", path="/services/{name}/resolve"),
    RouteEntry(name="listHistory", method="GET", path="/services/{name}/history"),
    RouteEntry(name="listServiceConsumers", method="GET", path="/services/{name}/consumers"),
    RouteEntry(name="listConsumers", method="GET", path="/consumers"),
    RouteEntry(name="getConsumer", method="GET", path=_CONSUMER),
    RouteEntry(name="declareConsumer", method="PUT", path=_CONSUMER),
    RouteEntry(name="deleteConsumer", method="DELETE", path=_CONSUMER),
    RouteEntry(name="resolveNeeds", method="POST", path="/resolve"),
    RouteEntry(name="describe", method="GET", path="/openapi.json"),
)
