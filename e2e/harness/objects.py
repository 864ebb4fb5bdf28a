"""The cluster's objects, through the `kubernetes` client: apply, look, read logs, ask a Service, remove."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import DynamicApiError

if TYPE_CHECKING:
    from pathlib import Path

Object = dict[str, Any]
MANAGER = "kit-e2e"  # the field manager, and the label of everything that is applied
RUN = "kit-e2e/run"  # the label that tells which run made an object
TIMEOUT = (10, 60)  # seconds to connect and to answer


class Cluster:
    """One cluster, by the kubeconfig that the harness wrote for it."""

    def __init__(self, kubeconfig: Path, run: str = "") -> None:
        self._labels = {"app.kubernetes.io/managed-by": MANAGER, **({RUN: run} if run else {})}
        self._client: Any = config.new_client_from_config(config_file=str(kubeconfig))  # type: ignore[no-untyped-call]
        self._core = client.CoreV1Api(self._client)
        self._dynamic: Any = None
        self._discovery = str(kubeconfig.with_name("discovery.json"))

    def version(self) -> str:
        """Return the version of Kubernetes."""
        return str(client.VersionApi(self._client).get_code(_request_timeout=TIMEOUT).git_version)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _client_for_any(self) -> Any:  # noqa: ANN401 - the client has no types
        if self._dynamic is None:
            dynamic: Any = DynamicClient(self._client, cache_file=self._discovery)  # type: ignore[no-untyped-call]
            self._dynamic = dynamic
        return self._dynamic

    def _resource(self, api_version: str, kind: str) -> Any:  # noqa: ANN401 - the client has no types
        return self._client_for_any().resources.get(api_version=api_version, kind=kind)

    def apply(self, document: Object, namespace: str | None = None, *, dry_run: bool = False) -> Object:
        """Apply one object, server-side, and return it as it is now; raises DynamicApiError when refused.

        `dry_run` has the API server judge it, and keep nothing.
        """
        document["metadata"]["labels"] = {**document["metadata"].get("labels", {}), **self._labels}
        resource = self._resource(document["apiVersion"], document["kind"])
        applied: Object = resource.server_side_apply(
            body=document,
            namespace=namespace or document["metadata"].get("namespace"),
            field_manager=MANAGER,
            force_conflicts=True,
            _request_timeout=TIMEOUT,
            **({"dry_run": "All"} if dry_run else {}),
        ).to_dict()
        return applied

    def patch(self, document: Object) -> None:
        """Change these fields of an object that is there, and take no part in owning it."""
        meta = document["metadata"]
        self._resource(document["apiVersion"], document["kind"]).patch(
            body=document,
            name=meta["name"],
            namespace=meta.get("namespace"),
            content_type="application/merge-patch+json",
            _request_timeout=TIMEOUT,
        )

    def delete(self, document: Object, namespace: str | None = None) -> None:
        """Remove one object; one that is not there is no error."""
        resource = self._resource(document["apiVersion"], document["kind"])
        namespace = namespace or document["metadata"].get("namespace")
        try:
            resource.delete(name=document["metadata"]["name"], namespace=namespace, _request_timeout=TIMEOUT)
        except DynamicApiError as error:
            if error.status != 404:
                raise

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Return one object, or None when it is not there."""
        try:
            found: Object = (
                self._resource(api_version, kind)
                .get(name=name, namespace=namespace, _request_timeout=TIMEOUT)
                .to_dict()
            )
        except DynamicApiError as error:
            if error.status == 404:
                return None
            raise
        return found

    def all(
        self, api_version: str, kind: str, namespace: str | None = None, *, selector: str = ""
    ) -> list[Object]:
        """Return all objects of a kind: of one namespace, and with some labels, if these are given."""
        found = self._resource(api_version, kind).get(
            namespace=namespace, label_selector=selector, _request_timeout=TIMEOUT
        )
        items: list[Object] = found.to_dict()["items"]
        return items

    def pods(self, namespace: str, selector: str = "") -> list[Object]:
        """Return a namespace's pods, the oldest first."""
        found = self._core.list_namespaced_pod(namespace, label_selector=selector, _request_timeout=TIMEOUT)
        pods: list[Object] = self._client.sanitize_for_serialization(found.items)
        return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def events(self, namespace: str) -> list[str]:
        """Return a namespace's events as lines, the latest last."""
        found = self._core.list_namespaced_event(namespace, _request_timeout=TIMEOUT)
        items: list[Object] = self._client.sanitize_for_serialization(found.items)
        items.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime")))
        return [
            f"{e.get('type')} {e.get('reason')} {e['involvedObject']['kind']}/{e['involvedObject']['name']}: "
            f"{e.get('message')}"
            for e in items
        ]

    def logs(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> str:
        """Return a container's log, or why there is none."""
        try:
            text: str | None = self._core.read_namespaced_pod_log(
                pod, namespace, container=container, previous=previous, _request_timeout=TIMEOUT
            )
        except ApiException as error:
            return f"(no log: {error.reason})"
        return text or ""  # nothing logged yet is told as no text at all

    def ask(self, namespace: str, service: str, path: str, body: object = None) -> tuple[int, Any]:
        """Ask a Service of the cluster for `path`, through the API server; return the status and the JSON."""
        kind, _, rest = service.partition("/")
        url = f"/api/v1/namespaces/{namespace}/{kind}/{rest}/proxy{path}"
        try:
            response = self._client_for_any().request(
                "GET" if body is None else "POST", url, body=body, serialize=False, _request_timeout=TIMEOUT
            )
        except DynamicApiError as error:
            return error.status, error.body
        return response.status, json.loads(response.data or b"null")
