"""The calls to Kaggle, through kagglesdk, and what each wrong answer means.

kagglesdk is asked for single calls: JSON over POST; a download is answered by a redirect to a file server, which it
follows. MLEB_KAGGLE_ENDPOINT names another server, as tests and mirrors need ("http://localhost:7777");
KAGGLE_API_ENVIRONMENT works as kagglesdk says.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from mleb_core.kaggle.credentials import Credentials
from mleb_core.kaggle.patience import Again, KaggleError, Patience, retry_after
from mleb_core.prepare.problems import flat

if TYPE_CHECKING:
    from requests import Response

__all__ = ["Client", "page_of", "rules_page", "understood"]

NOTEBOOKS_A_PAGE = 100
RETRIED = {408, 425, 429, 500, 502, 503, 504}


def page_of(slug: str) -> str:
    """A competition's page for people."""
    return f"https://www.kaggle.com/c/{slug}"


def rules_page(slug: str) -> str:
    """Where its rules are accepted."""
    return f"{page_of(slug)}/rules"


class Client:
    """A connection to Kaggle, for one thread. Use it as a context manager.

    Each call raises `Again` for what may pass and KaggleError for what will not.
    """

    def __init__(self, credentials: Credentials, patience: Patience) -> None:
        """Raises:
        KaggleError: kagglesdk is not installed, or KAGGLE_API_ENVIRONMENT names no environment.
        """
        self._place = credentials.place
        self._http = _http_client(credentials)
        self._timeout_s = patience.timeout_s

    def __enter__(self) -> Self:
        self._http.__enter__()
        session = self._http._session
        session.headers["Accept-Encoding"] = "identity"  # sizes and ranges are those of the file
        for scheme in ("https://", "http://"):
            session.mount(scheme, _adapter(self._timeout_s))
        return self

    def __exit__(self, *details: object) -> None:
        self._http.__exit__(None, None, None)

    def open_data(self, slug: str) -> "Response":
        """The archive of all data files, its body not read yet; the caller closes it."""
        from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest

        request = ApiDownloadDataFilesRequest()
        request.competition_name = slug
        response: Response = self._call(slug, lambda service: service.download_data_files(request))
        return response

    def leaderboard_file(self, slug: str) -> bytes:
        """The leaderboard as Kaggle packs it: a zip with a CSV."""
        from kagglesdk.competitions.types.competition_api_service import ApiDownloadLeaderboardRequest

        request = ApiDownloadLeaderboardRequest()
        request.competition_name = slug

        def read(service: Any) -> bytes:
            with service.download_leaderboard(request) as response:
                content: bytes = response.content
                return content

        content: bytes = self._call(slug, read)
        return content

    def leaderboard_scores(self, slug: str) -> Iterator[str]:
        """The scores of the private leaderboard, page by page, as texts."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetLeaderboardRequest

        token, seen = "", set[str]()
        while token not in seen:
            seen.add(token)
            request = ApiGetLeaderboardRequest()
            request.competition_name, request.page_size = slug, 200
            if token:
                request.page_token = token
            answer = self._call(slug, methodcaller("get_leaderboard", request))
            for submission in answer.submissions or ():
                if submission.score:
                    yield submission.score
            token = answer.next_page_token or ""

    def notebooks(self, slug: str) -> Iterator[Any]:
        """The public notebooks on a competition, those with most votes first, page by page, as kagglesdk's
        ApiKernelMetadata: ref ("author/name"), title, author, language, total_votes and more.
        """
        from kagglesdk.kernels.services.kernels_api_service import KernelsApiClient
        from kagglesdk.kernels.types.kernels_api_service import ApiListKernelsRequest
        from kagglesdk.kernels.types.kernels_enums import KernelsListSortType

        for page in itertools.count(1):
            request = ApiListKernelsRequest()
            request.competition, request.page, request.page_size = slug, page, NOTEBOOKS_A_PAGE
            request.sort_by = KernelsListSortType.VOTE_COUNT
            with understood(slug, self._place):
                found = KernelsApiClient(self._http).list_kernels(request).kernels or ()
            yield from found
            if len(found) < NOTEBOOKS_A_PAGE:
                return

    def notebook(self, author: str, name: str) -> Any:
        """A notebook with its code, as kagglesdk's ApiGetKernelResponse: metadata, and blob with source, language and
        kernel_type.
        """
        from kagglesdk.kernels.services.kernels_api_service import KernelsApiClient
        from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelRequest

        request = ApiGetKernelRequest()
        request.user_name, request.kernel_slug = author, name
        with understood(f"{author}/{name}", self._place):
            return KernelsApiClient(self._http).get_kernel(request)

    def pages(self, slug: str) -> list[tuple[str, str]]:
        """The public pages of a competition, such as its description, rules and evaluation: name and content, which is
        HTML or Markdown.
        """
        from kagglesdk.competitions.types.competition_api_service import ApiListCompetitionPagesRequest

        request = ApiListCompetitionPagesRequest()
        request.competition_name = slug
        found = self._call(slug, methodcaller("list_competition_pages", request)).pages
        return [(str(page.name), str(page.content)) for page in found or () if page.name and page.content]

    def _call(self, slug: str, call: Callable[[Any], Any]) -> Any:
        from kagglesdk.competitions.services.competition_api_service import CompetitionApiClient

        with understood(slug, self._place):
            return call(CompetitionApiClient(self._http))


@contextmanager
def understood(slug: str, place: str) -> Iterator[None]:
    """Turn what `requests` and kagglesdk raise into `Again` or KaggleError.

    Args:
        slug: the competition asked for.
        place: where the credentials are, for messages.
    """
    import requests
    import urllib3

    try:
        yield
    except requests.HTTPError as error:
        if error.response is None:
            raise KaggleError(f"{slug}: Kaggle refuses it: {flat(error)}", "answer") from None
        raise _judged(error.response, slug, place) from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise Again(_unreachable(error), "unreachable") from None
    except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
        raise Again(f"the connection broke ({flat(error, 120)})", "unreachable") from None
    except (requests.RequestException, ValueError, TypeError, KeyError, AttributeError) as error:
        raise KaggleError(f"{slug}: Kaggle's answer is not understood: {flat(error)}", "answer") from None


def _judged(response: "Response", slug: str, place: str) -> Exception:
    status, said = _status_and_message(response)
    says = f" (it says: {said})" if said else ""
    host = urlsplit(response.url).netloc
    if response.history and status in (400, 401, 403, 404, 410):  # the file server's, for a link that has expired
        return Again(f"the file server {host} answers {status}{says}", "busy")
    if status in RETRIED:
        wait = retry_after(response.headers.get("Retry-After"))
        meaning = "too many requests" if status == 429 else "the server fails"
        return Again(f"{host} answers {status}, {meaning}{says}", "busy", wait)
    if status == 401:
        return KaggleError(
            f"Kaggle refuses the credentials in {place}{says}; make new ones at https://www.kaggle.com/settings",
            "credentials",
        )
    if status == 403:
        return KaggleError(
            f"{slug}: its rules are not accepted{says}; accept them at {rules_page(slug)} and run it again", "rules"
        )
    if status == 404:
        return KaggleError(f"{slug}: Kaggle has no such competition{says}; look at {page_of(slug)}", "unknown")
    return KaggleError(f"{slug}: Kaggle answers {status}{says}", "answer")


def _status_and_message(response: "Response") -> tuple[int, str]:
    """An error's number and the text that came with it; the JSON may hold a number of its own in an answer 200."""
    status, content = response.status_code, None
    if "application/json" in response.headers.get("Content-Type", ""):
        try:
            content = response.json()
        except (ValueError, OSError):
            content = None
    if not isinstance(content, dict):
        return status, ""
    code = content.get("code")
    message = " ".join(str(content.get("message") or "").split())[:200]
    return (code if status < 400 and isinstance(code, int) else status), message


def _unreachable(error: Exception) -> str:
    request = getattr(error, "request", None)
    host = urlsplit(getattr(request, "url", "") or "").netloc or "Kaggle"
    cause: BaseException = error
    while (inner := cause.__context__) is not None:
        cause = inner
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else flat(cause, 120)
    return f"no connection with {host} ({reason})"


def _http_client(credentials: Credentials) -> Any:
    try:
        from kagglesdk import kaggle_env
        from kagglesdk.kaggle_http_client import KaggleHttpClient
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("kagglesdk", "requests", "google"):
            raise
        raise KaggleError(
            "downloads from Kaggle need the package kagglesdk: pip install 'mleb-core[kaggle]'", "answer"
        ) from None
    try:
        env = kaggle_env.get_env()
    except Exception as error:  # kagglesdk raises no other type
        raise KaggleError(flat(error), "answer") from None
    if endpoint := os.environ.get("MLEB_KAGGLE_ENDPOINT", "").rstrip("/"):
        kaggle_env._env_to_endpoint[env] = endpoint
        if kaggle_env.get_endpoint(env) != endpoint:
            raise KaggleError("MLEB_KAGGLE_ENDPOINT has no effect on this version of kagglesdk", "answer")
    return KaggleHttpClient(
        env,
        username=credentials.username,
        password=credentials.key,
        api_token=credentials.token,
        user_agent="mleb",
    )


def _adapter(timeout_s: float) -> Any:
    """Transport with a time limit: kagglesdk sets none, and a server that says nothing would hold it for ever."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def send(self, *args: Any, **options: Any) -> "Response":
            options["timeout"] = options.get("timeout") or timeout_s
            return super().send(*args, **options)

    return Adapter()
