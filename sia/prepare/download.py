"""Fetches a competition's data with Kaggle's own client: resumed where it broke, whole or not at all.

The client is used as it comes: credentials from its own places, its own retries, ranges and progress bar. What is
added is a line with a remedy for everything that can go wrong, and a checksum that is looked at when data are used
again. While a transfer is under way its file lies in a folder named `.part`.
"""

import contextlib
import io
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sia.errors import HostError, SiaError, UsageError
from sia.prepare.competition import Competition, plain_text
from sia.store.durable import digest_file, sync_file, write_whole

if TYPE_CHECKING:
    from requests import HTTPError

SETTINGS = "https://www.kaggle.com/settings/api"
TOKEN_PLACES = "~/.kaggle/access_token (or the variable KAGGLE_API_TOKEN)"


def download_competition(slug: str, folder: Path, tell: Callable[[str], None]) -> tuple[Path, Competition]:
    """The competition's zip below `folder`, and its description.

    Raises UsageError for credentials, rules and unknown names, HostError for the network; each with the remedy.
    """
    client = _client()
    with _told(slug):
        competition = _describe(client, slug, tell)
        files = _list_files(client, slug)
        archive = folder / f"{slug}.zip"
        known = archive.with_suffix(".sha256")
        if archive.is_file() and known.is_file():
            if known.read_text(encoding="utf-8").strip() == digest_file(archive):
                tell(f"{slug}: already downloaded, checksum right")
                return archive, competition
            tell(f"{slug}: {archive} has changed since it was downloaded; fetching it again")
        part = folder / ".part"
        part.mkdir(parents=True, exist_ok=True)
        size = sum(files.values())
        tell(f"{slug}: downloading {len(files)} files, {size / 1e6:.1f} MB unpacked, from {competition.address}/data")
        # Kaggle's client tells its progress on stdout, which belongs to the results.
        with contextlib.redirect_stdout(sys.stderr):
            client.competition_download_files(slug, path=str(part), quiet=not sys.stderr.isatty())
    fresh = part / f"{slug}.zip"
    if not fresh.is_file():
        raise HostError(
            f"{slug}: Kaggle sent its data in another form than zip",
            "download and unpack it by hand, and give the folder with `--data-dir`",
        )
    _verify(fresh, files, slug)
    sync_file(fresh)
    known.unlink(missing_ok=True)
    fresh.replace(archive)
    write_whole(known, digest_file(archive).encode())
    tell(f"{slug}: {archive.stat().st_size / 1e6:.1f} MB in {archive}, every file's checksum right")
    return archive, competition


def _client() -> Any:  # noqa: ANN401 (Kaggle's client has no types)
    try:
        # Its import tries to sign in, and prints its own help when it cannot.
        with contextlib.redirect_stdout(io.StringIO()):
            from kaggle.api.kaggle_api_extended import KaggleApi
    except ImportError as error:
        raise UsageError(
            f"the package `kaggle` is not installed ({error})",
            "pip install 'sia-agent[mlebench]', or download the data by hand and give `--data-dir PATH`",
        ) from None
    client = KaggleApi()
    with _told(""), contextlib.redirect_stdout(io.StringIO()):
        try:
            client.authenticate()
        except SystemExit:
            raise _no_credentials() from None
    return client


def _no_credentials() -> UsageError:
    from kagglesdk.kaggle_env import get_access_token_from_env

    _, place = get_access_token_from_env()
    if place:
        return UsageError(
            f"Kaggle does not know the token in {'~/.kaggle/access_token' if place == 'access_token' else place}",
            f"make a new one at {SETTINGS} and put it into {TOKEN_PLACES}",
        )
    return UsageError(
        "there are no Kaggle credentials",
        f"make a token at {SETTINGS} and put it into {TOKEN_PLACES}; "
        "or download the data by hand and give `--data-dir PATH`",
    )


@contextlib.contextmanager
def _told(slug: str) -> Iterator[None]:
    """Turns what Kaggle's client raises into one line with the remedy."""
    import requests

    try:
        yield
    except SiaError:
        raise
    except requests.HTTPError as error:
        raise _refusal(slug, error) from None
    except (requests.Timeout, requests.exceptions.ChunkedEncodingError):
        raise _broken(slug) from None
    except requests.exceptions.SSLError:
        raise HostError(
            "the certificate of kaggle.com is not trusted",
            "check the clock and the proxy; REQUESTS_CA_BUNDLE names a CA",
        ) from None
    except requests.ConnectionError:
        raise HostError(
            "kaggle.com cannot be reached",
            "check the network and HTTPS_PROXY, then run the same command again: it goes on where it stopped",
        ) from None
    except requests.RequestException as error:
        raise HostError(f"Kaggle's answer cannot be used: {type(error).__name__}", "try again later") from None
    except ValueError as error:
        # Raised by the client when the file has another size than was announced.
        raise _broken(slug, f" ({error})") from None
    except OSError as error:
        raise HostError(
            f"the download of {slug} cannot be written: {error.strerror}", "free some space, or set SIA_CACHE_DIR"
        ) from None


def _broken(slug: str, detail: str = "") -> HostError:
    return HostError(
        f"the transfer of {slug or 'the answer'} broke off{detail}",
        "run the same command again: it goes on where it stopped",
    )


def _refusal(slug: str, error: "HTTPError") -> SiaError:
    """What an HTTP status means here."""
    response = error.response
    status = response.status_code if response is not None else 0
    page = f"https://www.kaggle.com/competitions/{slug}"
    if status == 401:
        return UsageError(
            "Kaggle refuses the credentials (401)",
            f"make a new token at {SETTINGS} and put it into {TOKEN_PLACES}; "
            "KAGGLE_USERNAME, KAGGLE_KEY and ~/.kaggle/kaggle.json count too",
        )
    if status == 403:
        return UsageError(
            f"the rules of {slug} are not accepted (403)" if slug else "Kaggle refuses the access (403)",
            f"accept them at {page}/rules, then run the same command again",
        )
    if status == 404:
        return UsageError(
            f"Kaggle has no competition {slug!r} (404)", "take its name from its address, kaggle.com/competitions/NAME"
        )
    if status == 429:
        wait = response.headers.get("Retry-After", "") if response is not None else ""
        when = f"in {wait} seconds" if wait.isdigit() else "in a few minutes"
        return HostError("Kaggle's rate limit is reached (429)", f"run the same command again {when}")
    return HostError(
        f"Kaggle answers with status {status}", "run the same command again later: it goes on where it stopped"
    )


def _describe(client: Any, slug: str, tell: Callable[[str], None]) -> Competition:  # noqa: ANN401 (untyped client)
    from kagglesdk.competitions.types.competition_api_service import ApiGetCompetitionRequest

    with client.build_kaggle_client() as kaggle:
        request = ApiGetCompetitionRequest()
        request.competition_name = slug
        found = kaggle.competitions.competition_api_client.get_competition(request)
    pages = {p.name.lower(): plain_text(p.content or "") for p in client.competition_list_pages(slug) or ()}
    tell(f"{slug}: {found.title or slug}")
    wanted = ("description", "data-description", "evaluation")
    parts = [f"### {name.replace('-', ' ').capitalize()}\n\n{pages[name]}" for name in wanted if pages.get(name)]
    return Competition(
        slug=slug,
        title=found.title or "",
        description="\n\n".join(parts) or found.description or "",
        evaluation=pages.get("evaluation", ""),
        metric=found.evaluation_metric or "",
        license=found.license_name or "",
    )


def _list_files(client: Any, slug: str) -> dict[str, int]:  # noqa: ANN401 (untyped client)
    """Every file's size in bytes by its name, over all pages of the listing."""
    files: dict[str, int] = {}
    token: str | None = None
    while True:
        answer = client.competition_list_files(slug, page_token=token, page_size=200)
        files |= {file.name: file.total_bytes or 0 for file in answer.files or ()}
        token = answer.next_page_token or None
        if token is None:
            return files


def _verify(archive: Path, files: dict[str, int], slug: str) -> None:
    """Looks at every member's CRC, and that every listed file is there. Removes what is not whole."""
    try:
        with zipfile.ZipFile(archive) as opened:
            damaged = opened.testzip()
            names = {m.filename for m in opened.infolist()}
    except (zipfile.BadZipFile, zlib.error, EOFError):
        damaged, names = archive.name, set()
    missing = [name for name in files if name not in names and f"{name}.zip" not in names]
    if damaged or missing:
        archive.unlink()
        what = f"{damaged} is damaged" if damaged else f"{missing[0]} is missing"
        raise HostError(f"the download of {slug} is not whole: {what}", "run the same command again")
