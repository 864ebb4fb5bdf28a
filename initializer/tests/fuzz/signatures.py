"""What lies beside a kit, and the policy: it lets nothing in that our key did not sign."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from initializer.tests.fuzz.changes import altered, changed, dumped
from kit_conformance.testbed.kits import pack
from kit_conformance.testbed.signing import Key, bundle, simple_layer
from kit_initializer.errors import UsageError
from kit_initializer.signature import bundle as bundles
from kit_initializer.signature import simplesigning
from kit_initializer.signature.policy import read
from kit_initializer.signature.statement import UnfitError

if TYPE_CHECKING:
    import random
    from pathlib import Path

_KEY = Key.new()
_KIT = pack({"m": b"x"}, {"manifestVersion": "1.0.0", "package": {}, "model": {"path": "m"}})
_SHA256 = _KIT.digest.partition(":")[2]
_NAME = "r.example/m"
_POLICY = {
    "rules": [
        {
            "repositories": ["r.example/**", "*.example/a/*"],
            "keys": [_KEY.public],
            "attestations": [{"predicateType": "x", "where": {"a.b": {"regex": "c"}, "d": 1}}],
            "signaturesIn": "r.example/signatures",
            "signedAs": "r.example/**",
            "signed": "either",
        },
        {"repositories": ["**"], "reject": True},
    ]
}
_RULE = read({"KIT_SIGNATURE_POLICY": json.dumps(_POLICY)}, plain_http=False).rules[0]._replace(signed_as="")
_BUNDLE = max((blob for blob in bundle(_KEY, _KIT).blobs.values() if isinstance(blob, bytes)), key=len)
_LAYER = simple_layer(_KEY, _KIT, _NAME)


def a_bundle(dice: random.Random, _: Path) -> None:
    """Change a bundle: it holds as long as its payload and signature are what they were, and else never."""
    before = json.loads(_BUNDLE)
    raw = (
        changed(_BUNDLE, dice)
        if dice.random() < 0.5
        else dumped(altered(before, dice)).encode(errors="replace")
    )
    try:
        found = bundles.read(raw, _RULE, None, _SHA256)
    except UnfitError:
        return
    after = json.loads(raw)["dsseEnvelope"]
    assert after["payload"] == before["dsseEnvelope"]["payload"]
    assert found.signer.endswith(_KEY.hint)


def a_payload(dice: random.Random, _: Path) -> None:
    """Change a payload of simple signing, or its annotations."""
    raw = changed(_LAYER.data, dice)
    annotations = altered(dict(_LAYER.annotations), dice) if dice.random() < 0.5 else dict(_LAYER.annotations)
    texts = (
        {k: v for k, v in annotations.items() if isinstance(v, str)} if isinstance(annotations, dict) else {}
    )
    try:
        simplesigning.read(raw, texts, _RULE, _SHA256, name=_NAME, port=":443")
    except UnfitError:
        return
    assert raw == _LAYER.data


def a_policy(dice: random.Random, _: Path) -> None:
    """Change a policy: it is read, or refused as a usage error."""
    text = dumped(altered(_POLICY, dice)).encode(errors="replace")
    if dice.random() < 0.5:
        text = changed(text, dice)
    try:
        read({"KIT_SIGNATURE_POLICY": text.decode(errors="replace").replace("\0", " ")}, plain_http=True)
    except UsageError:
        return
