"""What schemathesis is to look at besides its own checks, and how it gets to where there is something to see."""

import itertools
import json
import os
import urllib.parse

import schemathesis
from schemathesis.core.parameters import ParameterLocation

# What names in paths stand for that is there, of an operation or of any.
KNOWN = json.loads(os.environ["EFT_KNOWN"])
# Where the tenant's routes may take files from, and bring them to.
PLACE = json.loads(os.environ["EFT_PLACE"])

# What a document cannot say: who has saved what meanwhile, whose a cursor or a place is, and how a key is encoded.
BEYOND = {
    "cursor.invalid",
    "idempotency.mismatch",
    "idempotency.running",
    "job.filter",
    "job.not_found",
    "job.publishing",
    "job.state",
    "partner.in_use",
    "partner.not_found",
    "precondition.failed",
    "precondition.required",
    "queue.busy",
    "queue.not_found",
    "receipt.not_found",
    "report.not_found",
    "revision.not_found",
    "route.ambiguous",
    "route.invalid",
    "route.name_taken",
    "route.not_found",
    "tenant.not_found",
    "user.name_taken",
    "user.not_found",
}
# Where a body may be wrong though its schema takes it.
PLACES = {
    "putTenant": ("/id", "/outputs/"),
    "putSftpUser": ("/home", "/keys/", "/partner", "/sources/"),
    "simulateRoutes": ("/name",),
}


keys = itertools.count()


def is_about_body(case):
    """Whether what is tried is the body: neither path nor headers are wrong on purpose."""
    if not case.operation.body or case.meta is None:
        return False
    parts = case.meta.components
    wrong = [place for place, part in parts.items() if not part.mode.is_positive]
    about = getattr(case.meta.phase.data, "parameter_location", None)
    return about == ParameterLocation.BODY or (about is None and all(place == ParameterLocation.BODY for place in wrong))


def of_the_tenant(route, number):
    """A route that was made up, of places that the tenant has: all others are refused, whatever else they say."""
    if not isinstance(route, dict):
        return route
    at = f"{PLACE['key']}{number}"
    route = {
        **route,
        "match": {"prefix": f"{PLACE['folder']}{number}/"},
        "destinations": [{"s3": {"bucket": PLACE["bucket"], "key": f"{at}/{{name}}"}}],
    }
    # Stages that are made up seldom fit one another; some routes are to have none.
    return route if number % 2 else {**route, "stages": []}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Nobody looks at a body before path and headers are right: these are of what is there, and never those of a request before.
    What is removed has a tag that nobody makes up."""
    if case.method.upper() == "DELETE" and case.meta and all(part.mode.is_positive for part in case.meta.components.values()):
        case.headers = {**(case.headers or {}), "If-Match": "*"}
    if not is_about_body(case):
        return
    parameters = {parameter["name"] for parameter in case.operation.definition.raw.get("parameters", [])}
    known = KNOWN.get(case.operation.definition.raw["operationId"], KNOWN["any"])
    case.path_parameters = {name: known.get(name, value) for name, value in (case.path_parameters or {}).items()}
    headers = case.headers.copy()
    if {"If-Match", "If-None-Match"} <= parameters:
        headers.pop("If-None-Match", None)
        headers["If-Match"] = "*"
    elif "If-Match" in parameters:
        headers.pop("If-Match", None)
    if "Idempotency-Key" in parameters:
        headers["Idempotency-Key"] = f"contract-{next(keys)}"
    case.headers = headers
    body = case.meta.components.get(ParameterLocation.BODY)
    if case.operation.definition.raw["operationId"] == "putRoute" and body and body.mode.is_positive:
        case.body = of_the_tenant(case.body, next(keys))


@schemathesis.hook
def filter_case(context, case):
    """Whether a request is one of its operation.

    MiniStack's own routes match no path with a line end in it. Behind a colon stands what is to be done, and API Gateway hands
    over an encoded one as it hands over any: a name with one in it is the path of another operation, or of none.
    """
    values = [urllib.parse.unquote(str(value)) for value in (case.path_parameters or {}).values()]
    return not any("\n" in value or ":" in value for value in values)


def is_beyond(problem, case):
    """Whether what is refused here is something that the document has not said."""
    code = problem["code"]
    if code == "request.header":
        # One of the two, and no schema of a header knows of another header.
        return {"If-Match", "If-None-Match"} <= set(case.headers or {})
    if code == "request.body":
        places = PLACES.get(case.operation.definition.raw["operationId"], ())
        errors = problem.get("errors", [])
        return bool(errors) and all(error["pointer"].startswith(places) for error in errors)
    return code in BEYOND


@schemathesis.check
def refused_for_what_no_document_says(ctx, response, case):
    """What the document allows is refused for a reason that it cannot give, and never as wrong in form."""
    if case.meta is None or response.status_code < 400:
        return
    # A request that is called right may have a part that is made wrong.
    parts = case.meta.components.values()
    if not case.meta.generation.mode.is_positive or not all(part.mode.is_positive for part in parts):
        return
    if "" in (case.headers or {}).values():
        return  # schemathesis 4.30.1 takes an empty condition for right, which the pattern of none is.
    if "application/problem+json" not in response.headers.get("content-type", [""])[0]:
        return  # API Gateway, whose answers other checks look at.
    problem = response.json()
    if problem["status"] != 405 and not is_beyond(problem, case):
        raise AssertionError(f"{problem['code']}: {problem['detail']} {problem.get('errors', '')}")
