"""One table of the native API, read by the server and by the client.

A row names a verb and its address; parameters, body, answer, role and description are those of
the verb itself, so that in-process, HTTP and client cannot drift apart.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from typing import Any

from palio.access.domain import Role, required_role
from palio.edge.verbs import NOUNS

__all__ = ["ROUTES", "Route"]


@dataclass(frozen=True)
class Route:
    """A verb's address.

    Parameters
    ----------
    method, path
        HTTP method, and path with the names of parameters in braces.
    noun, verb
        Which verb answers.
    """

    method: str
    path: str
    noun: str
    verb: str

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The verb, unbound."""
        found: Callable[..., Any] = getattr(NOUNS[self.noun], self.verb)
        return found

    @cached_property
    def in_path(self) -> frozenset[str]:
        """Parameters that stand in the path."""
        return frozenset(re.findall(r"{(\w+)}", self.path))

    @cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The verb's parameters with their types resolved."""
        signature = inspect.signature(self.function)
        return {
            name: parameter.replace(annotation=self._types[name])
            for name, parameter in signature.parameters.items()
            if name != "self"
        }

    @cached_property
    def elsewhere(self) -> Mapping[str, inspect.Parameter]:
        """Parameters that stand in the body, or in the query of a GET or DELETE."""
        return {
            name: parameter
            for name, parameter in self.parameters.items()
            if name not in self.in_path
        }

    @property
    def answer(self) -> Any:
        """The type of the verb's answer."""
        return self._types["return"]

    @property
    def role(self) -> Role:
        """The least role that may call."""
        return required_role(self.function)

    @property
    def has_body(self) -> bool:
        """Tell whether parameters travel in a JSON body."""
        return self.method in {"POST", "PUT"} and bool(self.elsewhere)

    @property
    def record(self) -> str | None:
        """The parameter that is the whole body: the only one there, and a record."""
        name, *others = self.elsewhere or ("",)
        alone = self.has_body and not others
        return name if alone and is_dataclass(self.elsewhere[name].annotation) else None

    @cached_property
    def _types(self) -> Mapping[str, Any]:
        return typing.get_type_hints(inspect.unwrap(self.function))


ROUTES = (
    Route("GET", "/v1/models", "models", "list"),
    Route("POST", "/v1/models", "models", "create"),
    Route("GET", "/v1/models/{model}", "models", "get"),
    Route("DELETE", "/v1/models/{model}", "models", "delete"),
    Route("POST", "/v1/models/{model}/restore", "models", "restore"),
    Route("GET", "/v1/models/{model}/lifecycle", "models", "lifecycle"),
    Route("PUT", "/v1/models/{model}/lifecycle", "models", "adopt"),
    Route("GET", "/v1/models/{model}/versions", "versions", "list"),
    Route("POST", "/v1/models/{model}/versions/from", "versions", "register_from"),
    Route("POST", "/v1/models/{model}/ensembles", "versions", "combine"),
    Route("GET", "/v1/models/{model}/aliases", "models", "aliases"),
    Route("PUT", "/v1/models/{model}/aliases/{alias}", "models", "set_alias"),
    Route("DELETE", "/v1/models/{model}/aliases/{alias}", "models", "clear_alias"),
    Route("GET", "/v1/models/{model}/aliases/{alias}/history", "models", "history"),
    Route("GET", "/v1/models/{model}/aliases/{alias}/at", "models", "at"),
    Route("POST", "/v1/models/{model}/rollback", "models", "rollback"),
    Route("GET", "/v1/versions", "versions", "search"),
    Route("GET", "/v1/versions/{reference}", "versions", "get"),
    Route("POST", "/v1/models/{model}/edit", "models", "edit"),
    Route("POST", "/v1/versions/{reference}/edit", "versions", "edit"),
    Route("GET", "/v1/versions/{reference}/card", "versions", "card"),
    Route("GET", "/v1/versions/{reference}/quality", "versions", "quality"),
    Route("GET", "/v1/versions/{reference}/drift", "versions", "drift"),
    Route("GET", "/v1/versions/{reference}/plots", "versions", "plots"),
    Route("DELETE", "/v1/versions/{reference}", "versions", "delete"),
    Route("POST", "/v1/versions/{reference}/restore", "versions", "restore"),
    Route("POST", "/v1/versions/{reference}/purge", "versions", "purge"),
    Route("POST", "/v1/versions/{reference}/move", "versions", "move"),
    Route("POST", "/v1/versions/{reference}/promote", "versions", "promote"),
    Route("GET", "/v1/versions/{reference}/requirements", "versions", "requirements"),
    Route("GET", "/v1/versions/{reference}/attestations", "versions", "attestations"),
    Route("POST", "/v1/versions/{reference}/attestations", "versions", "attest"),
    Route("POST", "/v1/comparisons", "versions", "compare"),
    Route("GET", "/v1/lifecycles", "lifecycles", "list"),
    Route("POST", "/v1/lifecycles", "lifecycles", "declare"),
    Route("GET", "/v1/lifecycles/{name}", "lifecycles", "get"),
    Route("GET", "/v1/lifecycles/{name}/revisions", "lifecycles", "revisions"),
    Route("GET", "/v1/artifacts/verify", "artifacts", "verify"),
    Route("POST", "/v1/artifacts/gc", "artifacts", "gc"),
    Route("GET", "/v1/endpoints", "endpoints", "list"),
    Route("POST", "/v1/endpoints", "endpoints", "create"),
    Route("GET", "/v1/endpoints/{name}", "endpoints", "get"),
    Route("GET", "/v1/endpoints/{name}/metrics", "endpoints", "metrics"),
    Route("POST", "/v1/endpoints/{name}/configure", "endpoints", "configure"),
    Route("GET", "/v1/endpoints/{name}/shares", "endpoints", "shares"),
    Route("PUT", "/v1/endpoints/{name}/weights", "endpoints", "weigh"),
    Route("PUT", "/v1/endpoints/{name}/held/{version}", "endpoints", "load"),
    Route("DELETE", "/v1/endpoints/{name}/held/{version}", "endpoints", "unload"),
    Route("GET", "/v1/endpoints/{name}/loaded", "endpoints", "loaded"),
    Route("PUT", "/v1/endpoints/{name}/override", "endpoints", "override"),
    Route("DELETE", "/v1/endpoints/{name}/override", "endpoints", "clear"),
    Route("GET", "/v1/deployments", "deployments", "list"),
    Route("POST", "/v1/deployments", "deployments", "deploy"),
    Route("GET", "/v1/deployments/{name}", "deployments", "get"),
    Route("GET", "/v1/deployments/{name}/status", "deployments", "status"),
    Route("GET", "/v1/deployments/{name}/health", "deployments", "health"),
    Route("GET", "/v1/deployments/{name}/metrics", "deployments", "metrics"),
    Route("POST", "/v1/deployments/{name}/rollback", "deployments", "rollback"),
    Route("POST", "/v1/deployments/{name}/undeploy", "deployments", "undeploy"),
    Route("GET", "/v1/experiments", "experiments", "list"),
    Route("POST", "/v1/experiments", "experiments", "draft"),
    Route("POST", "/v1/experiments/launch", "experiments", "launch"),
    Route("GET", "/v1/experiments/{key}", "experiments", "get"),
    Route("POST", "/v1/experiments/{key}/start", "experiments", "start"),
    Route("POST", "/v1/assignments/{name}", "experiments", "assign"),
    Route("POST", "/v1/assignments/{name}/many", "experiments", "assign_many"),
    Route("GET", "/v1/experiments/{key}/assignments", "experiments", "assignments"),
    Route("POST", "/v1/experiments/{key}/pause", "experiments", "pause"),
    Route("POST", "/v1/experiments/{key}/resume", "experiments", "resume"),
    Route("GET", "/v1/experiments/{key}/weights", "experiments", "weights"),
    Route("PUT", "/v1/experiments/{key}/weights", "experiments", "reweight"),
    Route("POST", "/v1/experiments/{key}/refresh", "experiments", "refresh"),
    Route("POST", "/v1/experiments/{key}/stop", "experiments", "stop"),
    Route("POST", "/v1/experiments/{key}/complete", "experiments", "complete"),
    Route("POST", "/v1/experiments/{key}/ship", "experiments", "ship"),
    Route("POST", "/v1/experiments/{key}/rollback", "experiments", "rollback"),
    Route("POST", "/v1/experiments/{key}/analyze", "experiments", "analyze"),
    Route("GET", "/v1/experiments/{key}/looks", "experiments", "looks"),
    Route("GET", "/v1/experiments/{key}/record", "experiments", "record"),
    Route("POST", "/v1/experiments/{key}/verify", "experiments", "verify"),
    Route("POST", "/v1/experiments/{key}/rebuild", "experiments", "rebuild"),
    Route("POST", "/v1/experiments/{key}/explore", "experiments", "explore"),
    Route("GET", "/v1/outcomes/history", "outcomes", "history"),
    Route("POST", "/v1/units/erase", "units", "erase"),
    Route("POST", "/v1/units/retain", "units", "retain"),
    Route("GET", "/v1/alerts", "alerts", "list"),
    Route("GET", "/v1/keys", "keys", "list"),
    Route("POST", "/v1/keys", "keys", "create"),
    Route("DELETE", "/v1/keys/{id}", "keys", "revoke"),
    Route("GET", "/v1/audit", "audit", "list"),
    Route("GET", "/v1/audit/verify", "audit", "verify"),
)
