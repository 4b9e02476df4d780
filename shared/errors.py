"""Refusals that a caller can act on: one declaration each, shown as RFC 9457 problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# A document shows so many faults at most.
MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where (JSON pointer), what is so and what would be right."""

    pointer: str
    detail: str
    code: str


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of refusal with a stable name; `GET /problems/{slug}` shows meaning and mend."""

    slug: str
    status: int
    title: str
    meaning: str
    mend: str

    def refusal(
        self,
        detail: str,
        errors: Sequence[Fault] = (),
        *,
        headers: dict[str, str] | None = None,
    ) -> Refusal:
        return Refusal(self, detail, tuple(errors), headers or {})


@dataclass(eq=False)
class Refusal(Exception):
    """Raised where a request can't be granted; anything else that is raised is our mistake."""

    problem: ProblemType
    detail: str
    errors: tuple[Fault, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.problem.slug}: {self.detail}"

    def within(self, prefix: str) -> Refusal:
        """The same of a part of a body, whose faults point from the whole of it."""
        faults = [
            Fault(prefix + "/" + f.pointer.removeprefix("query:").lstrip("/"), f.detail, f.code)
            for f in self.errors
        ]
        return self.problem.refusal(self.detail, faults, headers=self.headers)

    def document(self, instance: str) -> dict[str, Any]:
        """The RFC 9457 document of this refusal; `instance` is the path that was asked."""
        return {
            "type": f"/problems/{self.problem.slug}",
            "title": self.problem.title,
            "status": self.problem.status,
            "detail": self.detail,
            "instance": instance,
            "errors": [
                {"pointer": f.pointer, "detail": f.detail, "code": f.code}
                for f in self.errors[:MAX_SHOWN]
            ],
        }


REGISTRY: dict[str, ProblemType] = {}


def problem(slug: str, status: int, title: str, meaning: str, mend: str) -> ProblemType:
    """Declare a kind of refusal; its slug must be new."""
    assert slug not in REGISTRY, f"the problem {slug} is declared twice"
    REGISTRY[slug] = ProblemType(slug, status, title, meaning, mend)
    return REGISTRY[slug]


NOT_PARSABLE = problem(
    "not-parsable", 400, "The body can't be read",
    "The request body is not in the format that its media type names.",
    "Send well-formed JSON (or the format named in Content-Type), encoded as UTF-8.",
)  # fmt: skip
UNAUTHENTICATED = problem(
    "unauthenticated", 401, "No valid credential",
    "The request carries no credential, or one that is unknown, expired or revoked.",
    "Send `Authorization: Bearer ww_...` with a key that `worthwhile metrics create-key` made.",
)  # fmt: skip
FORBIDDEN = problem(
    "forbidden", 403, "The credential lacks a scope",
    "The credential is valid, but was not given the scope that this operation needs.",
    "Use a key with the scope named in the detail.",
)  # fmt: skip
NOT_FOUND = problem(
    "not-found", 404, "No such thing here",
    "Nothing with this address exists for your organisation (as known at the moment asked for).",
    "Check the id or key; a list of the collection shows what there is.",
)  # fmt: skip
METHOD_NOT_ALLOWED = problem(
    "method-not-allowed", 405, "Method not allowed",
    "The address exists, but does not take this method.",
    "The Allow header lists the methods that it takes.",
)  # fmt: skip
CONFLICT = problem(
    "conflict", 409, "The state does not allow this",
    "The request contradicts the present state of the resource.",
    "Read the resource again; the detail says what stands in the way.",
)  # fmt: skip
STALE = problem(
    "stale", 412, "The resource has changed meanwhile",
    "`If-Match` names a revision that is no longer the present one; nothing was changed.",
    "Read the resource again, apply your change to what it is now, and send its new ETag.",
)  # fmt: skip
TOO_LARGE = problem(
    "too-large", 413, "The body is too large",
    "The request body exceeds the limit of this operation.",
    "Send less at once; the detail names the limit.",
)  # fmt: skip
UNSUPPORTED_MEDIA_TYPE = problem(
    "unsupported-media-type", 415, "Unsupported media type",
    "The operation does not take the Content-Type of the request.",
    "Use one of the media types that the detail lists.",
)  # fmt: skip
INVALID = problem(
    "invalid", 422, "Understood, but not valid",
    "The request is well-formed, but a value in it is missing, of the wrong type or out of range.",
    "Each entry of `errors` points at a value and says what would be right.",
)  # fmt: skip
IDEMPOTENCY_MISMATCH = problem(
    "idempotency-mismatch", 422, "Idempotency-Key used for another request",
    "This Idempotency-Key was used within the last 24 hours with another body or operation.",
    "Use a new key for a new request; repeat the very same request to get its stored answer.",
)  # fmt: skip
UNCONDITIONAL = problem(
    "precondition-required", 428, "Say which revision you change",
    "Two people may edit this text at once; without `If-Match` one would undo the other's work.",
    "Read the resource, and send its ETag as `If-Match`.",
)  # fmt: skip
TOO_MANY_REQUESTS = problem(
    "too-many-requests", 429, "Too many requests",
    "More requests are waiting than the service takes at once; this one was not looked at.",
    "Wait as long as Retry-After says, then send it again.",
)  # fmt: skip
INTERNAL = problem(
    "internal", 500, "A mistake of ours",
    "The service failed in a way that it should not; nothing was changed.",
    "Try again later; if it happens again, report the trace id of the answer.",
)  # fmt: skip
UNAVAILABLE = problem(
    "unavailable", 503, "Not available now",
    "Something that the service needs (its database, another service) does not answer.",
    "Wait as long as Retry-After says, then send it again.",
)  # fmt: skip
UNKNOWN_BASIS = problem(
    "unknown-basis", 422, "No such basis in this ledger",
    "The basis does not name a state of this ledger: its position does not exist or its root "
    "does not match (the ledger may have been restored from an older backup).",
    "Ask again without a basis, and keep the one that the answer carries.",
)  # fmt: skip


def invalid(pointer: str, detail: str, code: str = "invalid") -> Refusal:
    """The common case: one value is wrong."""
    return INVALID.refusal(detail, [Fault(pointer, detail, code)])
