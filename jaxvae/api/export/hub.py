"""Upload exported weights to the Hugging Face hub, and load them from there."""

import re
import tempfile
from pathlib import Path
from typing import Any

from jaxvae.common.errors import UserError, first_line
from jaxvae.common.optional import require

SCHEME = "hf://"
WANTED = ["model.safetensors", "config.json", "metrics.jsonl", "results.json"]  # of a repository, to load it


def push(run: Any, name: str, license: str = "", private: bool = False) -> str:
    """Export a run as weights with a model card, and upload the folder; return its address.

    Args:
      run: a `Run`.
      name: of the repository, "OWNER/NAME"; it is created where it does not exist.
      license: of the weights, for the card.
      private: whether a new repository is private.

    Raises:
      UserError: the extra `hub` is not installed, the name is not one of the hub, or the hub refuses.
    """
    owner_and_name, hub = _checked(name), require("huggingface_hub")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "export"
        run.export(folder, license=license)
        try:
            api = hub.HfApi(library_name="jaxvae")
            api.create_repo(owner_and_name, private=private, exist_ok=True)
            api.upload_folder(repo_id=owner_and_name, folder_path=folder, commit_message="Upload of jaxvae")
        except Exception as error:  # of the hub and of the network, many types
            raise UserError(
                f"The hub does not take '{owner_and_name}' ({type(error).__name__}: {first_line(error)}). Log in with "
                "'hf auth login', and give a repository that is yours, OWNER/NAME."
            ) from error
    return f"{SCHEME}{owner_and_name}"


def download(address: str) -> Path:
    """Download the exported weights at "hf://OWNER/NAME" or "hf://OWNER/NAME@REVISION"; return the folder in the cache.

    Raises:
      UserError: the extra `hub` is not installed, or there is nothing of this name.
    """
    name, _, revision = address.removeprefix(SCHEME).partition("@")
    repository, hub = _checked(name), require("huggingface_hub")
    try:
        return Path(hub.snapshot_download(repository, revision=revision or None, allow_patterns=WANTED))
    except Exception as error:
        raise UserError(
            f"'{address}' cannot be downloaded ({type(error).__name__}: {first_line(error)}). Give hf://OWNER/NAME of "
            "a model that jaxvae pushed; a private one needs 'hf auth login'."
        ) from error


def _checked(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UserError(f"'{name}' is not the name of a repository of the hub: give OWNER/NAME.")
    return name
