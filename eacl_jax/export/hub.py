"""Model folders to the Hugging Face hub."""

import dataclasses
import os
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import filter_repo_objects, validate_repo_id

from eacl_jax.encoders.weights import peft
from eacl_jax.errors import UserError
from eacl_jax.recognizer.folder import read_settings
from eacl_jax.recognizer.locate import LEARNT, LORA, SENT
from eacl_jax.recognizer.programs import FOLDER, files_of


@dataclasses.dataclass(frozen=True)
class Pushed:
    """What was sent, or would be.

    Attributes:
      files: sizes in bytes, by path in the repository.
      address: of the commit; empty where nothing was sent.
    """

    files: dict[str, int]
    address: str


def push(
    folder: Path,
    repo: str,
    *,
    private: bool = False,
    token: str = "",
    with_learnt: bool = False,
    dry_run: bool = False,
) -> Pushed:
    """Sends a model folder to a repository of the hub, which is made where it is missing.

    Args:
      folder: of a model; only its own files are sent, and of `programs/` those that are known.
      repo: OWNER/NAME.
      private: a repository that is made is seen by its owner only.
      token: with the right to write; empty: $HF_TOKEN, else that of `hf auth login`.
      with_learnt: also what tells which utterances it has learnt from, to who guesses them; see
        `recognizer.learnt`.
      dry_run: send nothing, ask nobody.

    Raises:
      UserError: the folder is no model's, its programs are of another one, the name is none, there
        is no token, or the hub refuses or cannot be reached.
    """
    files = model_files(folder, with_learnt=with_learnt)
    _check_name(repo)
    if dry_run:
        return Pushed(files, "")
    token = token or get_token() or ""
    if not token:
        raise UserError(
            "there is no token for the hub: give a token, set HF_TOKEN, or run `hf auth login`; it"
            " needs the right to write."
        )
    api = HfApi(token=token)
    try:
        api.create_repo(repo, private=private, repo_type="model", exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            allow_patterns=list(files),
            delete_patterns=list(SENT),  # what a model there had, and this one has not
            commit_message="Upload eacl_jax model",
        )
    except HfHubHTTPError as error:
        raise UserError(_refused(repo, error)) from error
    except (
        Exception
    ) as error:  # of the hub's HTTP and transfer libraries, which another version may exchange
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{api.endpoint} cannot be reached, or broke off ({type(error).__name__}: {reason}); "
            "check the network and run the same command again."
        ) from error
    return Pushed(files, str(commit.commit_url))


def model_files(folder: Path, *, with_learnt: bool = False) -> dict[str, int]:
    """Sizes of the files of a model folder that are sent, by path; `with_learnt` as of `push`.

    Raises:
      UserError: the folder is no model's, or its programs are of another one or not whole.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder} is no folder; give the model folder to send, such as runs/NAME/model."
        )
    read_settings(folder / "config.json")
    present = sorted(
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()
    )
    kept = None if with_learnt else [LEARNT]
    files = list(filter_repo_objects(present, allow_patterns=list(SENT), ignore_patterns=kept))
    whole = ("encoder/config.json", "encoder/model.safetensors")
    for name in ("heads.safetensors", *(LORA if LORA[0] in files else whole)):
        if name not in files:
            raise UserError(
                f"{folder / name} is missing; the folder is not a whole model: save it again."
            )
    if LORA[0] in files and Path(base := peft.read_config(folder)[0]).is_absolute():
        raise UserError(
            f"{folder / peft.CONFIG}: base_model_name_or_path {base!r} is a folder of this machine,"
            " where nobody else finds the encoder; put its hub id there."
        )
    programs = files_of(folder)
    return {
        name: os.stat(folder / name).st_size
        for name in files
        if not name.startswith(f"{FOLDER}/") or folder / name in programs
    }


def _check_name(repo: str) -> None:
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(
            f"repo {repo!r} cannot be a repository's name ({str(error).splitlines()[0]})."
        ) from error
    if repo.count("/") != 1:
        raise UserError(f"repo {repo!r} must be OWNER/NAME, such as ann/emotions.")


def _refused(repo: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code
    reason = (getattr(error, "server_message", None) or str(error)).strip().split("\n")[0]
    if status == 401:
        return (
            f"the hub does not know the token ({reason}); give one that is valid, as the token or"
            " in HF_TOKEN."
        )
    if status == 403:
        return (
            f"the token may not write to {repo} ({reason}); use one with the right to write there,"
            " or another repository."
        )
    return f"the hub refused {repo} with status {status} ({reason})."
