"""Logins that tests plant, and how they are found again."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

from kit_initializer import credentials
from kit_initializer.settings import Settings, read

if TYPE_CHECKING:
    from kit_initializer.credentials import Login

HOST = "r.example:5000"
CANARY = "canary-4f1d"
ANN = {"KIT_USER": "ann", "KIT_PASSWORD": "grey-otter"}
USERS = {"ann": "grey-otter"}  # whom a registry of a test knows


def auth(user: str, password: str = CANARY) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def config(**hosts: object) -> str:
    return json.dumps({"auths": {HOST: auth("docker")} | hosts})


def settings(**environ: str) -> Settings:
    return read({"PATH": os.environ["PATH"], **environ})


def find(host: str = HOST, **environ: str) -> Login | None:
    return credentials.find(host, settings(**environ))
