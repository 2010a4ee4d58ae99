"""The text format of Prometheus, read strictly."""

import re

from prometheus_client.parser import text_string_to_metric_families

LINE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="(\\.|[^"\\\n])*",?)*\})? (NaN|[-+]?(Inf|[0-9.eE+-]+))( \d+)?')


class Metrics:
    """`types`: name -> type; `samples`: [(name, labels, value)]. Names are as written, `_total` and all."""

    def __init__(self, text):
        self.types, self.helps, self.samples = {}, {}, []
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"twice: {line}"
                self.types[name] = kind
            elif line.startswith("# HELP "):
                name, _, help_ = line[7:].partition(" ")
                self.helps[name] = help_
            elif line:
                assert line.startswith("#") or LINE.fullmatch(line), line
        for family in text_string_to_metric_families(text):
            self.samples += [(sample.name, sample.labels, sample.value) for sample in family.samples]
        self.names = {name for name, _, _ in self.samples}

    def rows(self, name, **labels):
        return [(have, value) for other, have, value in self.samples
                if other == name and all(have.get(key) == wanted for key, wanted in labels.items())]

    def value(self, name, **labels):
        rows = self.rows(name, **labels)
        assert len(rows) == 1, f"{name} {labels}: {rows}"
        return rows[0][1]

    def labels_of(self, name):
        return {tuple(have) for have, _ in self.rows(name)}

    def type_of(self, name):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        return self.types.get(name) or self.types.get(base)
