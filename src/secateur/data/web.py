"""Opening an address: http and https alone, redirects watched, the machine's settings not read."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from typing import IO, Any
from urllib.parse import urlsplit

from secateur.errors import DataFileError

__all__ = ["NETWORK_ERRORS", "DroppedError", "NoSuchRangeError", "open_address", "said"]

# what a connection raises when it breaks off, stalls or speaks no HTTP
NETWORK_ERRORS = (OSError, HTTPException)
SCHEMES = ("http", "https")
BUSY = {408, 425, 429}  # together with 500 and above: answers that another try may mend
UNSATISFIABLE = 416


class DroppedError(Exception):
    """What another try may mend; never seen outside the downloads."""


class NoSuchRangeError(DroppedError):
    """The server has no bytes where a download would go on."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, and none that leaves http(s) or gives up encryption."""

    max_redirections = 5
    max_repeats = 2

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuse a redirect that a download must not follow."""
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in SCHEMES or (old, new) == ("https", "http"):
            fp.close()
            raise DataFileError(
                f"{req.full_url} redirects to {newurl}, which is "
                f"{'not encrypted' if new == 'http' else 'no address of the web'}: not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(proxies: Mapping[str, str]) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()  # bare: no files, no ftp, no proxies but the given
    for handler in (
        urllib.request.ProxyHandler(dict(proxies)),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def said(error: BaseException) -> str:
    """Return an error's words, or its name where it has none."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return str(reason) or type(error).__name__


def open_address(
    url: str, headers: Mapping[str, str], *, timeout: float, proxies: Mapping[str, str]
) -> HTTPResponse:
    """Ask for an address and return the answer, its body unread.

    Args:
        url: http or https.
        headers: sent as they are.
        timeout: seconds without a sign of the server.
        proxies: an address per scheme; empty asks the server itself.

    Raises:
        DataFileError: an answer that another try does not mend.
        DroppedError: the connection failed, or the server is busy.
        NoSuchRangeError: there is nothing in the asked range.
    """
    if urlsplit(url).scheme not in SCHEMES:
        raise DataFileError(f"{url!r} is no address that begins with http:// or https://")
    try:
        request = urllib.request.Request(url, headers=dict(headers))
        answer: Any = _opener(proxies).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(url, error) from error
    except InvalidURL as error:
        raise DataFileError(f"{url!r} is no address: {error}") from error
    except NETWORK_ERRORS as error:
        if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
            raise DataFileError(
                f"the certificate of {url} is not trusted ({said(error)}): nothing was asked for; "
                "check the machine's clock and its certificates"
            ) from error
        raise DroppedError(said(error)) from error
    found: HTTPResponse = answer
    return found


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    what = f"{error.code} {error.reason}".split("\n", 1)[0].strip()
    if error.code == UNSATISFIABLE:
        return NoSuchRangeError("the server has no such range")
    if error.code in BUSY or error.code >= 500:
        return DroppedError(f"the server answers {what}")
    if 300 <= error.code < 400:
        return DataFileError(
            f"{url} redirects in a circle, too often or to nowhere (last answer: {what}): the file "
            "may have moved"
        )
    return DataFileError(
        f"{url} answers {what}: the file has moved, was withdrawn or is not given to everyone"
    )
