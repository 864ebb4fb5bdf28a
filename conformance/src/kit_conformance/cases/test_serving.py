"""Predictions: what a model server makes of what the subject has brought."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_conformance import refs
from kit_conformance.catalog import MUST, case
from kit_conformance.fixtures import fixture
from kit_conformance.result import Finding
from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.serving import MLServer, ServingError, outputs

if TYPE_CHECKING:
    from kit_conformance.lab import Lab


def _served(lab: Lab, *, runs: int) -> None:
    """Let the subject bring the sample kit so many times into one folder, and hold its predictions to the kit's."""
    folder, expected = fixture("sklearn-iris")
    uri, to = lab.place(pack(folder)), lab.destination()
    for _ in range(runs):
        lab.run(uri, to=to).succeeded()
    try:
        with MLServer(lab.settings.mlserver, to, "iris") as server:
            found = outputs(server.predict_v2(expected["v2"]["request"]))
    except ServingError as error:
        raise Finding("the model server does not serve it", str(error).splitlines()[-4:]) from error
    if found != expected["v2"]["outputs"]:
        raise Finding(
            "the predictions are others", [f"found {found}", f"expected {expected['v2']['outputs']}"]
        )


@case(
    "serving.sklearn",
    level=MUST,
    since="0.1",
    ref=refs.KIT_KSERVE,
    reaches="a model server in processes",
    any_registry=True,
)
def test_sklearn(lab: Lab) -> None:
    """A scikit-learn model is served by MLServer as KServe starts it, and predicts what it should.

    It is what all of this is for.
    """
    _served(lab, runs=1)


@case(
    "serving.after-restart",
    level=MUST,
    since="0.1",
    ref=refs.K8S_INIT,
    reaches="a model server in processes",
    any_registry=True,
)
def test_after_restart(lab: Lab) -> None:
    """After a second run into the same folder the predictions are the same.

    A pod that restarts must serve what it served.
    """
    _served(lab, runs=2)
