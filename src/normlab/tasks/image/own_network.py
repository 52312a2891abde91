"""A network that somebody brings: `file.py:factory`, `package.module:factory`, or `timm:NAME`.

A factory takes `(num_classes, norm)` and puts `norm(num_channels)` where its norms belong; or it takes `(num_classes)`
or nothing, and the norms of what it returns are replaced by the scheme. Its initial weights are kept: they are drawn
under the run's seed, so that networks that differ in their norms alone begin with the same weights.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

from torch import nn

from normlab.errors import UserError
from normlab.norms.base import Norm
from normlab.norms.options import create_norm
from normlab.norms.swap import swap_norms
from normlab.own_code import load_reference, what_was_raised
from normlab.tasks.image.timm_networks import TIMM, timm_factory


class NormMaker:
    """What a factory gets as `norm`: called with a number of channels, it makes a layer of the run's scheme.

    `str(norm)` is the scheme's name, e.g. "group".
    """

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name, self.options = name, options

    def __call__(self, num_channels: int) -> Norm:
        """Return a new layer for (N, num_channels, ...)."""
        return create_norm(self.name, num_channels, **self.options)

    def __str__(self) -> str:
        return self.name


def build_own_network(reference: str, num_classes: int, norm: str, options: dict[str, Any]) -> nn.Module:
    """Call the factory that a reference names and bring the scheme into its network.

    Raises: UserError if it cannot be imported, raises, returns no module, or has no norm that the scheme could replace.
    """
    factory = timm_factory(reference) if reference.startswith(f"{TIMM}:") else load_reference(reference)
    if not callable(factory):
        raise UserError(f"{reference}: is a {type(factory).__name__}, where a function that makes a network is needed")
    arguments, takes_norm = _arguments(factory, num_classes, NormMaker(norm, options))
    try:
        network = factory(**arguments)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever a stranger's code raises
        raise UserError(f"{reference}: raised {what_was_raised(error)}") from error
    if not isinstance(network, nn.Module):
        raise UserError(f"{reference}: returned {type(network).__name__}, where a torch.nn.Module is needed")
    if not takes_norm:
        network = _swapped(reference, network, norm, options)
    network.keeps_its_start = True  # type: ignore[assignment]  # see `engine.rng.initialise`
    return network


def _arguments(factory: Callable[..., Any], num_classes: int, norm: NormMaker) -> tuple[dict[str, Any], bool]:
    """Return what a factory is called with, by name, and whether the scheme is among it."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # a built-in without a signature
        return {}, False
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    plain = [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [name for name in plain if name != "norm" and parameters[name].default is inspect.Parameter.empty]
    given: dict[str, Any] = {}
    if "num_classes" in plain or (takes_any and not required):
        given["num_classes"] = num_classes
    elif required:
        given[required[0]] = num_classes
    if "norm" in plain:
        given["norm"] = norm
    elif len(required) == 2 and required[0] in given:  # (classes, scheme) under other names
        given[required[1]] = norm
    return given, any(value is norm for value in given.values())


def _swapped(reference: str, network: nn.Module, norm: str, options: dict[str, Any]) -> nn.Module:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        report = swap_norms(network, norm, **options)
    if not report:
        reason = next((f": {path or 'it'}: {why}" for path, why in report.left.items()), "")
        raise UserError(
            f"{reference}: has no norm that `{norm}` could replace{reason}: take norm as a parameter, "
            "`def make(num_classes, norm)`, and call norm(num_channels) where one belongs"
        )
    for warning in said:
        if "activation" in str(warning.message) or str(warning.message).startswith("swap_norms: left"):
            warnings.warn(f"{reference}: {warning.message}", stacklevel=2)
    return report.model
