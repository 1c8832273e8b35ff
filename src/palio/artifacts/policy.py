"""Which files this process may make objects of."""

from __future__ import annotations

from dataclasses import dataclass

from palio.artifacts.flavors import Flavor, Safety
from palio.errors import InvalidInput, UntrustedArtifact

__all__ = ["NOTHING_TRUSTED", "Trust"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What an operator allows this process to load.

    ``trusted_types`` are exact names that flavors of safety ``checked`` allow beside their own;
    ``allow_pickle`` lets files of safety ``code`` run what they hold.
    """

    trusted_types: tuple[str, ...] = ()
    allow_pickle: bool = False

    def allows(self, flavor: Flavor) -> bool:
        """Tell whether files of the flavor may be loaded here."""
        return flavor.safety is not Safety.KEPT and (
            self.allow_pickle or flavor.safety is not Safety.CODE
        )

    def check(self, flavor: Flavor, what: str) -> None:
        """Refuse what may not be loaded; to be called before any byte of it is interpreted.

        Parameters
        ----------
        flavor
            Whose files they are.
        what
            How the message calls them, such as ``credit-risk:v1``.

        Raises
        ------
        UntrustedArtifact
            If loading would run code and this process does not allow that.
        InvalidInput
            If the files are kept only.
        """
        if self.allows(flavor):
            return
        if flavor.safety is Safety.KEPT:
            raise InvalidInput(
                f"{what} is of flavor {flavor.name}: its files are kept as they are and answer "
                "no requests; register a model of another flavor to serve it",
                field="flavor",
                value=flavor.name,
            )
        raise UntrustedArtifact(
            f"{what} is of flavor {flavor.name}: loading it runs code that its files hold, and "
            "this process does not allow that; if you know who made it and trust them, set "
            "PALIO_ALLOW_PICKLE=true where it is loaded, otherwise register the model in a "
            "format of data, such as skops or ONNX",
            flavor=flavor.name,
            setting="PALIO_ALLOW_PICKLE",
        )


NOTHING_TRUSTED = Trust()
"""The default: data, and types of the flavors' own lists."""
