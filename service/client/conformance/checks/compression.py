"""Compressed bodies, in both directions."""

import gzip
import zlib
from dataclasses import replace

from service.client.conformance.check import extension, recommended
from service.client.conformance.expectation import CheckFailed, applies, expect
from service.client.conformance.http_client import Answer
from service.client.conformance.question import in_binary
from service.client.conformance.specification import BINARY, HTTP_SEMANTICS
from service.client.conformance.target import Target

_LARGEST = 64 * 1024 * 1024


@recommended("http.compression.gzip-request", HTTP_SEMANTICS)
def gzip_request(target: Target) -> None:
    """A body with Content-Encoding: gzip is taken, and means what it means uncompressed."""
    _expect_taken(target, "gzip")


@recommended("http.compression.deflate-request", HTTP_SEMANTICS)
def deflate_request(target: Target) -> None:
    """A body with Content-Encoding: deflate, which is a zlib stream, is taken."""
    _expect_taken(target, "deflate")


@recommended("http.compression.gzip-answer", HTTP_SEMANTICS)
def gzip_answer(target: Target) -> None:
    """To who accepts gzip alone an answer may be compressed: Content-Encoding says so, and then it is."""
    _expect_given(target, "gzip")


@recommended("http.compression.deflate-answer", HTTP_SEMANTICS)
def deflate_answer(target: Target) -> None:
    """To who accepts deflate alone an answer may be compressed: Content-Encoding says so, and then it is."""
    _expect_given(target, "deflate")


@recommended("http.compression.not-asked-for", HTTP_SEMANTICS)
def not_asked_for(target: Target) -> None:
    """Who accepts no coding gets none."""
    _ = target.baseline
    body, headers = target.plain()
    for accepted in ({}, {"Accept-Encoding": "identity"}):
        answer = target.infer(body, {**headers, **accepted})
        coding = answer.headers.get("content-encoding", "identity")
        expect(coding == "identity", f"{accepted or 'no Accept-Encoding'}: expected no coding, got {coding}")
        target.expect_answer(answer, f"{accepted or 'no Accept-Encoding'}")


@extension("http.compression.binary", BINARY, "binary_tensor_data")
def binary(target: Target) -> None:
    """Under gzip Inference-Header-Content-Length is the length of the JSON before it was compressed."""
    _ = target.baseline
    applies(target.infer(*_coded(target.plain(), "gzip")).status == 200, "the server takes no gzip")
    asked = in_binary(target.inputs, {one.name for one in target.inputs}, **target.extra())
    target.expect_answer(target.infer(*_coded(asked, "gzip")), "binary data under gzip")


@recommended("http.compression.unknown-coding", HTTP_SEMANTICS)
def unknown_coding(target: Target) -> None:
    """A coding that the server doesn't know is refused, rather than taken for JSON."""
    _ = target.baseline
    body, headers = target.plain()
    target.expect_refused(body, "Content-Encoding: x-none", {**headers, "Content-Encoding": "x-none"})


@recommended("http.compression.damaged", HTTP_SEMANTICS)
def damaged(target: Target) -> None:
    """A body that says gzip and isn't, or is cut off, is refused."""
    _ = target.baseline
    body, headers = target.plain()
    target.expect_refused(body, "JSON that says it is gzip", {**headers, "Content-Encoding": "gzip"})
    packed, coded = _coded((body, headers), "gzip")
    target.expect_refused(packed[:-12], "gzip that is cut off", coded)


def _coded(asked: tuple[bytes, dict[str, str]], coding: str) -> tuple[bytes, dict[str, str]]:
    body, headers = asked
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    return packed, {**headers, "Content-Encoding": coding}


def _expect_taken(target: Target, coding: str) -> None:
    _ = target.baseline
    target.expect_answer(target.infer(*_coded(target.plain(), coding)), f"a body in {coding}")


def _expect_given(target: Target, coding: str) -> None:
    _ = target.baseline
    body, headers = target.plain()
    answer = target.infer(body, {**headers, "Accept-Encoding": coding})
    found = answer.headers.get("content-encoding", "identity")
    if found != coding:
        target.expect_answer(answer, f"Accept-Encoding: {coding}")
        applies(False, "the server sends such an answer uncompressed, as it may")
    target.expect_answer(replace(answer, body=_uncoded(answer, coding)), f"Accept-Encoding: {coding}")


def _uncoded(answer: Answer, coding: str) -> bytes:
    try:
        decoder = zlib.decompressobj(31 if coding == "gzip" else 15)
        body = decoder.decompress(answer.body, _LARGEST)
    except zlib.error as error:
        raise CheckFailed(f"Content-Encoding is {coding}, and the body isn't: {error}") from None
    expect(decoder.eof, f"the body in {coding} is cut off")
    return body


CHECKS = (
    gzip_request,
    deflate_request,
    gzip_answer,
    deflate_answer,
    not_asked_for,
    binary,
    unknown_coding,
    damaged,
)
