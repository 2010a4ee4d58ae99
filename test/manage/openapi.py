"""docs/openapi.json as the judge of answers."""

import json
import os
import re
from urllib.parse import urlsplit, parse_qs

import jsonschema

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = os.path.join(ROOT, "docs", "openapi.json")
METHODS = ("get", "put", "post", "delete")


def _older(since, version):
    """True when a broker of this version does not have what came with `since`."""
    if since is None or version is None:
        return False
    if since in ("never", "plugin"):     # the RabbitMQ beside has no further plugins
        return True
    return tuple(map(int, since.split("."))) > version


class Document:
    """The description as it holds for a RabbitMQ of some version, or for Leveret (None)."""

    def __init__(self, version=None):
        with open(PATH, encoding="utf-8") as file:
            self.document = json.load(file)
        self.version = version
        self.paths = {path: operations for path, operations in self.document["paths"].items()
                      if any(self._is_there(op) for op in operations.values())}
        self.patterns = [(self._pattern(path), path) for path in sorted(self.paths, key=self._specific)]
        self._forget_newer(self.document["components"]["schemas"])

    def _is_there(self, operation):
        return not _older(operation.get("x-rabbitmq-since"), self.version)

    @staticmethod
    def _specific(path):
        """Words win over parameters."""
        return [(part.startswith("{"), part) for part in path.split("/")]

    @staticmethod
    def _pattern(path):
        return re.compile(re.sub(r"{\w+}", "[^/]+", path) + "/?")

    def _forget_newer(self, schema):
        """What this version lacks is not required of it."""
        if isinstance(schema, list):
            for part in schema:
                self._forget_newer(part)
        elif isinstance(schema, dict):
            properties = schema.get("properties", {})
            if "required" in schema:
                schema["required"] = [name for name in schema["required"]
                                      if not _older(properties.get(name, {}).get("x-rabbitmq-since"), self.version)]
            for part in schema.values():
                self._forget_newer(part)

    def template_of(self, path):
        path = urlsplit(path).path
        return next((template for pattern, template in self.patterns if pattern.fullmatch(path)), None)

    def operations(self):
        """(method, path, operation) of everything that this version has."""
        return [(method, path, operation) for path, operations in self.paths.items()
                for method, operation in operations.items() if self._is_there(operation)]

    def operation(self, method, path):
        template = self.template_of(path)
        return self.paths[template].get(method.lower()) if template else None

    def complaint(self, answer):
        """What is wrong with an answer, or None."""
        operation = self.operation(answer.method, answer.path)
        if operation is None:
            return f"not described: {answer}"
        described = operation["responses"].get(str(answer.status))
        if described is None:
            return f"no such status in the description ({', '.join(operation['responses'])}): {answer}"
        if "$ref" in described:
            described = self.document["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
        content = described.get("content", {})
        if not content:
            return f"a body where none belongs: {answer}" if answer.body else None
        kind = answer.headers.get("content-type", "").split(";")[0]
        if kind not in content:
            return f"content type {kind!r}, not {', '.join(content)}: {answer}"
        if kind != "application/json":
            return None
        return self._mismatch(answer.json, content[kind]["schema"], answer)

    def _mismatch(self, value, schema, answer):
        query = parse_qs(urlsplit(answer.path).query, keep_blank_values=True)
        if "columns" in query or "true" in query.get("disable_stats", ()):
            return None                     # fewer fields, because they were not wanted
        if "oneOf" in schema:               # a list, or a page of it: better messages than "neither of both"
            schema = schema["oneOf"][0 if isinstance(value, list) else 1]
        return self.mismatch(value, schema, answer)

    def mismatch(self, value, schema, what):
        """`schema` is one, or the name of one."""
        if isinstance(schema, str):
            schema = {"$ref": f"#/components/schemas/{schema}"}
        whole = {**schema, "components": self.document["components"]}
        errors = sorted(jsonschema.Draft202012Validator(whole).iter_errors(value), key=lambda e: list(map(str, e.path)))
        if not errors:
            return None
        lines = [f"{'/'.join(map(str, e.path)) or '.'}: {e.message[:300]}" for e in errors[:12]]
        return f"{what}\n" + "\n".join(lines)
