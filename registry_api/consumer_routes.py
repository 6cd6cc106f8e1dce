"""The routes of consumers and their needs."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from registry_api import documents, schemas
from registry_api.consumers import Consumers
from registry_api.operations import Registry
from registry_api.requests import GatewayRequest, consumer_in, service_in
from registry_api.responses import (
    empty_response,
    json_response,
    page_response,
    position_in,
    resolution_response,
)
from registry_tables.consumers_layout import parse_position


class ConsumerRoutes:
    """The routes that read and write consumers."""

    def __init__(
        self, registry: Registry, consumers: Consumers, request: Callable[[], GatewayRequest]
    ) -> None:
        """Use the operations on services and consumers, and the request that is being served."""
        self._registry = registry
        self._consumers = consumers
        self._request = request

    def handlers(self) -> Mapping[str, Callable[..., Response[str]]]:
        """Return the function of each route, by its name in `route_table`."""
        return {
            "declareConsumer": self._declare,
            "getConsumer": self._consumer,
            "deleteConsumer": self._delete,
            "listConsumers": self._list,
            "listServiceConsumers": self._list_of_service,
        }

    def _declare(self, consumer: str) -> Response[str]:
        name = consumer_in(consumer)
        request = self._request()
        # If `dry_run` were ignored, for example, the request would make an unwanted change.
        request.refuse_query()
        declaration = request.parsed(schemas.ConsumerRequest).to_declaration(name)
        # A document that is too large for a response is refused before anything is recorded.
        response = resolution_response(self._consumers.resolve(declaration))
        self._consumers.declare(declaration)
        return response

    def _consumer(self, consumer: str) -> Response[str]:
        found = self._consumers.consumer(consumer_in(consumer))
        return json_response(HTTPStatus.OK, documents.consumer_document(found))

    def _delete(self, consumer: str) -> Response[str]:
        name = consumer_in(consumer)
        self._request().refuse_query()
        self._consumers.forget(name)
        return empty_response(HTTPStatus.NO_CONTENT)

    def _list(self) -> Response[str]:
        request = self._request()
        prefix = request.query("prefix") or ""
        scope = f"consumers/{prefix}"
        paging = request.paging(scope)
        after = None if paging.after is None else _listed_name(paging.after, prefix)
        page = self._consumers.consumers(prefix, limit=paging.limit, after=after)
        entries = ((each.name, documents.consumer_document(each)) for each in page.items)
        return page_response("consumers", scope, entries, page.last)

    def _list_of_service(self, name: str) -> Response[str]:
        service = self._registry.service(service_in(name)).service
        scope = f"service-consumers/{service.name}"
        paging = self._request().paging(scope)
        after = None
        if paging.after is not None:
            after = position_in(parse_position, paging.after)
        page = self._consumers.consumers_of(service.name, limit=paging.limit, after=after)
        entries = (
            (each.position, documents.service_consumer_document(each)) for each in page.items
        )
        return page_response("consumers", scope, entries, page.last)


def _listed_name(text: str, prefix: str) -> str:
    """Return the name in a cursor of the list of consumers."""

    def parse(name: str) -> str:
        # DynamoDB rejects a start key that does not begin with the prefix.
        if not name.startswith(prefix):
            message = "not of this list"
            raise ValueError(message)
        return name

    return position_in(parse, text)
